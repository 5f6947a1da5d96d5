#!/bin/sh
# Everything that the GPU stack's perception needs, into the folder of weights. What is there already is only verified.
set -eu
detector=${GAITKEEPER_PIPELINE__DETECTOR:-yolo26m-seg} pose=${GAITKEEPER_PIPELINE__POSE:-vitpose-b}
gaitkeeper weights pull "$detector" "$pose"
# Its digest is recorded last, so an export without one was cut short.
if [ ! -f "$GAITKEEPER_CACHE/$pose.onnx.sha256" ]; then
    gaitkeeper weights export-pose "$pose"
fi
