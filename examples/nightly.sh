#!/bin/sh
# A shop's nightly job: learn from the whole log, check the model, export a list for every user.
#
#   nightly.sh LOG OUT_DIRECTORY
#
# The lists in OUT_DIRECTORY are replaced only if the model is good enough.
set -eu

log=$1
out=$2
minimum=${MINIMUM_RECALL:-0.05}

# Choose the number of epochs and measure on data that the model has not seen.
checked=$(diffrec fit "$log" --dataset nightly --overwrite --variant t --name nightly-check -q)
diffrec eval "$checked" --min "recall@20=$minimum" -q >"$out/metrics.json"

# Learn from every interaction for as many epochs, and export.
model=$(diffrec fit nightly --variant t --name nightly --refit -q)
diffrec recommend --model "$model" --all-users -k 50 --out "$out/lists.csv" -q
echo "$model"
