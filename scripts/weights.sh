#!/usr/bin/env bash
# Make the weights that ship again: ten hours on one core of a CPU.
#   scripts/weights.sh KINECT [NETWORK...]    KINECT: the Kinect Gait Biometry data set; NETWORK: all that ship by default
# What was made is kept under data/ and runs/, so that an interrupted run goes on where it stopped.
set -euo pipefail
cd "$(dirname "$0")/.."
kinect=${1:?scripts/weights.sh KINECT [NETWORK...]}
shift
[ $# -gt 0 ] || set -- gaitpart gaitbase jointsgait gstsn gaittake gaitheat fusion
gaitkeeper() { .venv/bin/python -m gaitkeeper "$@"; }
newest() { find "runs/$1" -maxdepth 1 -name 'step-*' 2>/dev/null | sort | tail -1 || true; }
mkdir -p data runs

for set in train calibrate; do
    [ -e "data/walkers-$set.npz" ] || gaitkeeper walkers render "$set" "$kinect" "data/walkers-$set.npz"
done
for network in "$@"; do
    case $network in
        gaitpart) walks=(--walks 3000 --partition walkers_175) ;;
        gaitbase) walks=(--walks 8000) ;;
        gstsn) walks=(--walks 3000) ;;
        gaittake) walks=(--walks 4000 --dims 48) ;;
        gaitheat) walks=(--walks 2500) ;;
        *) walks=(--walks 6000) ;;
    esac
    # These ended after fewer steps first, their rate then at zero, and were given the others afterwards.
    case $network in
        gaitbase) first=9000 ;;
        gaittake) first=1800 ;;
        gaitheat) first=1500 ;;
        *) first= ;;
    esac
    if [ "$network" = fusion ]; then
        gaitkeeper fuse weights/gaitbase.safetensors weights/gaittemplate.safetensors weights/fusion.safetensors \
            --share 1 --share 1 --walks data/walkers-calibrate.npz
    else
        config=training/configs/$network-walkers-cpu.toml
        if [ -n "$first" ] && [[ $(newest "$network") < runs/$network/step-$(printf %08d $((first + 1))) ]]; then
            gaitkeeper train "$config" --out "runs/$network" --set "steps=$first"
        fi
        gaitkeeper train "$config" --out "runs/$network"
        last=$(newest "$network")/weights.safetensors
        gaitkeeper refit "$last" data/walkers-train.npz "weights/$network.safetensors" "${walks[@]}"
    fi
    # What real people allow of the thresholds: python -m bench.real_people
    options=()
    case $network in
        fusion) strictness=0.96 options=(--camera-strictness 1) ;;
        gaitbase) strictness=0.98 ;;
        gaitpart) strictness=0.95 ;;
        gaittake) strictness=0.74 ;;
        # In units it would name nine in ten real strangers.
        jointsgait) strictness=1 options=(--prior-only) ;;
        *) strictness=1 ;;
    esac
    gaitkeeper calibrate "weights/$network.safetensors" data/walkers-calibrate.npz weights/calibration.json \
        --strictness "$strictness" "${options[@]}"
done
sha256sum weights/*.safetensors
