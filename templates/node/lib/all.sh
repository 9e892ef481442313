#!/usr/bin/env bash
# Every library, those that others build on first.

for library in log retry json config hmac artifact unit kube lease signal \
    seal board hints boot; do
    # shellcheck source=/dev/null
    source "$MAGNUM_HOME/lib/$library.sh"
done
unset library
