#!/usr/bin/env bash
# Make the weights that ship again: about four hours on one core of a CPU, less on more.
#   scripts/weights.sh KINECT [NETWORK...]      KINECT: the Kinect Gait Biometry data set; networks as below, all by default
# What was made is kept under data/ and runs/, so that an interrupted run goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
kinect=${1:?scripts/weights.sh KINECT [NETWORK...]}
shift
networks=("$@")
[ ${#networks[@]} -gt 0 ] || networks=(gaitbase gaittake gstsn jointsgait fusion)
gaitkeeper() { .venv/bin/python -m service.cli "$@"; }
mkdir -p data runs

for set in train calibrate; do
    [ -e "data/walkers-$set.npz" ] || gaitkeeper walkers render "$set" "$kinect" "data/walkers-$set.npz"
done
for network in "${networks[@]}"; do
    if [ "$network" = fusion ]; then
        gaitkeeper fuse weights/gaitbase.safetensors weights/gaittake.safetensors weights/fusion.safetensors \
            --walks data/walkers-calibrate.npz
    else
        gaitkeeper train "training/configs/$network-walkers-cpu.toml" --out "runs/$network"
        last=$(ls -d runs/"$network"/step-* | sort | tail -1)/weights.safetensors
        gaitkeeper refit "$last" data/walkers-train.npz "weights/$network.safetensors" --walks 11600
    fi
    gaitkeeper calibrate "weights/$network.safetensors" data/walkers-calibrate.npz weights/calibration.json
done
sha256sum weights/*.safetensors
