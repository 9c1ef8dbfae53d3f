#!/bin/sh
# A shop's nightly job: learn from the whole log, check the model, export a list for every user.
#
#   nightly.sh LOG OUT_DIRECTORY
#
# The lists in OUT_DIRECTORY are replaced only if the model is good enough.
set -eu

usage="usage: nightly.sh LOG OUT_DIRECTORY"
log=${1:?$usage}
out=${2:?$usage}
minimum=${MINIMUM_RECALL:-0.05}
mkdir -p "$out"

# Choose the number of epochs and measure on data that the model has not seen.
checked=$(diffrec fit "$log" --dataset nightly --overwrite --variant t --name nightly-check --no-default -q)
diffrec eval "$checked" --min "recall@20=$minimum" -q >"$out/metrics.json"

# Learn from every interaction for as many epochs, and export.
model=$(diffrec fit nightly --variant t --name nightly --refit -q)
diffrec recommend --model "$model" --all-users -k 50 --out "$out/lists.csv" -q
echo "$model"
