#!/usr/bin/env bash
# Lints every shell file of the project, and keeps the two rules shellcheck
# does not know: functions below 40 lines, heredocs of at most 10.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

shellcheck="${SHELLCHECK:-shellcheck}"

mapfile -t files < <(
    git ls-files --cached --others --exclude-standard \
        templates/node devstack lab bench tests .ci |
        while IFS= read -r file; do
            [[ -f "$file" ]] || continue
            if [[ "$file" == *.sh ]] ||
                head -n 1 "$file" | grep -Eq '^#!.*\b(ba)?sh$'; then
                printf '%s\n' "$file"
            fi
        done | sort -u
)
if ((${#files[@]} < 20)); then
    echo "only ${#files[@]} shell files found" >&2
    exit 1
fi

"$shellcheck" --external-sources "${files[@]}"

awk '
    FNR == 1 { start = 0; inside = 0 }
    /^[a-z_:]+\(\) \{$/ { start = FNR; name = $1 }
    /^\}$/ && start {
        if (FNR - start > 40) {
            print FILENAME ":" start ": " name " has " FNR - start " lines"
            bad = 1
        }
        start = 0
    }
    inside && $0 ~ "^\t*" mark "$" {
        if (FNR - inside > 11) {
            print FILENAME ":" inside ": a heredoc of over 10 lines"
            bad = 1
        }
        inside = 0
    }
    !inside && match($0, /<<-?['\''"]?[A-Z_]+/) && !/<<</ {
        mark = substr($0, RSTART, RLENGTH)
        gsub(/[^A-Z_]/, "", mark)
        inside = FNR
    }
    END { exit bad }
' "${files[@]}"
echo "${#files[@]} shell files are clean"
