#!/usr/bin/env bash
# Lists in pipelines: users go in, one a line, and rows come out as soon as they are ready.
#
#   pipeline.sh USERS OUT_DIRECTORY
#
# Uses the default model, or DIFFREC_MODEL. Needs jq and Miller (Debian: apt install jq miller).
set -euo pipefail

usage="usage: pipeline.sh USERS OUT_DIRECTORY"
users=${1:?$usage}
out=${2:?$usage}
for tool in diffrec jq mlr; do
    if ! command -v "$tool" >/dev/null; then
        echo "pipeline.sh: $tool is not installed; nothing was done" >&2
        exit 1
    fi
done
mkdir -p "$out"

# JSON lines, one row an item: here each user's best one. No row waits for the last user.
diffrec recommend --users - -k 5 --on-unknown popular --format jsonl -q <"$users" |
    jq --compact-output 'select(.rank == 1) | {user, item}' >"$out/best.jsonl"

# CSV: one row a user, the items in one field.
diffrec recommend --users - -k 5 --on-unknown popular --format csv -q <"$users" |
    mlr --csv cut -o -f user,item then \
        nest --implode --values --across-records --nested-fs ';' -f item then \
        rename item,items >"$out/mails.csv"

# The items that are recommended most.
diffrec recommend --users - -k 5 --on-unknown popular --format csv -q <"$users" |
    mlr --icsv --opprint count-distinct -f item then sort -nr count -f item then head -n 5
