"""Mutations of kernels/plan.cpp."""

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
]
