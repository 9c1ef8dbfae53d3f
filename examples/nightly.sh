#!/bin/sh
# A shop's nightly job: check a model, train it on the whole log, export a list for every user.
#
#   nightly.sh LOG OUT_DIRECTORY
#
# The lists in OUT_DIRECTORY are replaced only if the model is good enough. A job that was killed
# during its export continues there when it is started again, unless the log has changed since.
#
#   MINIMUM_RECALL=0.05   Recall@20 on the test part below which nothing is exported (exit code 7)
#   LISTS=lists.csv       file name of the lists; the ending .parquet or .jsonl sets the format
set -eu

usage="usage: nightly.sh LOG OUT_DIRECTORY"
log=${1:?$usage}
out=${2:?$usage}
minimum=${MINIMUM_RECALL:-0.05}
lists=${LISTS:-lists.csv}
mkdir -p "$out"
exporting=$out/exporting # holds the model's reference while its lists are written

if [ -f "$exporting" ] && [ -z "$(find "$log" -newer "$exporting")" ]; then
    model=$(cat "$exporting")
else
    # Choose the number of epochs, and measure on data that the model has not seen.
    checked=$(diffrec fit "$log" --dataset nightly --overwrite --variant t --name nightly-check --no-default -q)
    diffrec eval "$checked" --min "recall@20=$minimum" -q >"$out/metrics.json"

    # Train on every interaction, for as many epochs.
    model=$(diffrec fit nightly --variant t --name nightly --refit -q)
    echo "$model" >"$exporting.new"
    mv "$exporting.new" "$exporting"
    diffrec models rm "$checked" --yes -q >/dev/null # it was only measured
fi

# The file appears when it is complete. After a kill the same command continues.
diffrec recommend --model "$model" --all-users -k 50 --out "$out/$lists" -q
rm "$exporting"
diffrec models prune nightly --keep 7 --yes -q >"$out/pruned.json" # a week of models is enough
echo "$model"
