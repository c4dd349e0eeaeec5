"""Mutations of kernels/launch_typed.cuh."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/launch_typed.cuh",
        (
            "later-launches-start-at-row-0",
            "rows beyond one grid are never done",
            "kernel, work, first, GeometryOf",
            "kernel, work, int64_t{0}, GeometryOf",
        ),
        (
            "cluster-of-two-not-asked-for",
            "two blocks a row run as two rows",
            "if (plan.cluster > 1) attributes",
            "if (plan.cluster > 2) attributes",
        ),
    ),
    *in_file(
        "kernels/launch_typed.cuh",
        (
            "ptx-without-clusters-gets-them",
            "code from before clusters is launched in clusters",
            "if (code.ptxVersion < 90) {",
            "if (code.ptxVersion < 80) {",
        ),
        logits="bfloat16",
        architecture=80,
        tests="DescribedDevice.CodeFromBeforeClusters*",
    ),
    *in_file(
        "kernels/launch_typed.cuh",
        (
            "clusters-that-no-group-holds",
            "a slice of a device is launched with clusters larger than it has",
            "if (device->clusters[i] == 0) device->largest_cluster = 1 << i;",
            "",
        ),
        logits="bfloat16",
        tests="DescribedDevice.ASlice*",
    ),
    *in_file(
        "kernels/launch_typed.cuh",
        (
            "refused-size-of-clusters-reported-later",
            "a driver's answer about clusters is the error of the call that follows",
            "      cudaGetLastError();\n      device->clusters",
            "      device->clusters",
        ),
        logits="bfloat16",
        tests="DescribedDevice.ADriverThatRefuses*",
    ),
    *in_file(
        "kernels/launch_typed.cuh",
        (
            "carve-out-by-bytes",
            "what share of a multiprocessor a kernel asks for hangs on its first call",
            "if (kHasStorage)",
            "if (plan.shared_bytes >= sizeof(Storage))",
        ),
        source="shard_rows",
        tests="DescribedDevice.WhatShare*",
    ),
]
