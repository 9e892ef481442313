# Print every scalar of a JSON document: path, tab, value (see flatten.py).
def line:
  if . == null then "" else tostring end
  | gsub("\\\\"; "\\\\")
  | gsub("\n"; "\\n") | gsub("\t"; "\\t") | gsub("\r"; "\\r");
paths(type != "object" and type != "array") as $path
| ([$path[] | line] | join("\u001f")) + "\t" + (getpath($path) | line)
