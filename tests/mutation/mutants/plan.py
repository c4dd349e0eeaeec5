"""Mutations of kernels/plan.cpp and plan.h."""

from mutations import Mutation, in_file

MUTATIONS: list[Mutation] = [
    *in_file(
        "kernels/plan.cpp",
        (
            "plan-forgets-inbox",
            "a cluster gets no shared memory for what follows Storage",
            "plan.shared_bytes = StorageBytes(plan.cluster) +",
            "plan.shared_bytes = StorageBytes(1) +",
        ),
        (
            "plan-ignores-misalignment",
            "an unaligned row is one vector longer than its resident memory",
            "(vocabulary + 2 * elements - 2) / elements",
            "(vocabulary + elements - 1) / elements",
        ),
    ),
    *in_file(
        "kernels/plan.cpp",
        (
            "plan-forgets-groups",
            "a group gets no shared memory for its members",
            "(task == Task::kSampleGroup ? sizeof(GroupStorage) : 0)",
            "0",
        ),
        tests="CudaGroups.*",
    ),
    *in_file(
        "kernels/plan.cpp",
        (
            "rows-wait-for-others",
            "a cluster gets more blocks than run at once for all rows",
            " && rows <= ClustersAtOnce(plan.cluster, device)",
            "",
        ),
        (
            "clusters-of-the-device-forgotten",
            "as many clusters are thought to run at once as have multiprocessors",
            "known != 0 ? std::min<int64_t>(known, most) : most",
            "most",
        ),
        tests="Plan.*",
    ),
    *in_file(
        "kernels/plan.h",
        (
            "overlap-whatever-the-driver",
            "a driver of CUDA 12.2 is given a launch that its graphs cannot hold",
            " && device.driver >= 12030",
            "",
        ),
        tests="DescribedDevice.AnOldDriverCapturesCallsWithoutOverlap",
    ),
]
