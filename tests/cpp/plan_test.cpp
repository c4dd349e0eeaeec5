// The plan: every batch on every device gets a launch that fits, and the one meant for its regime.
#include "kernels/plan.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "kernels/storage.h"
#include "test_support.h"

namespace fire::kernels {
namespace {

struct Case {
  const char* name;
  Device device;
};

// Compute capability, multiprocessors, shared memory of a block, blocks of a cluster.
constexpr Case kDevices[] = {
    {"7.5", {75, 40, 64 << 10, 1}},    {"8.0", {80, 108, 163 << 10, 1}},
    {"8.6", {86, 72, 99 << 10, 1}},    {"8.9", {89, 58, 99 << 10, 1}},
    {"9.0", {90, 132, 227 << 10, 16}}, {"10.0", {100, 148, 227 << 10, 16}},
    {"12.0", {120, 170, 99 << 10, 8}}, {"9.0 with a driver of CUDA 12.2", {90, 132, 227 << 10, 16, {}, 12020}}};

// Devices as they are sold, with how many clusters of 2, 4, 8 and 16 blocks run at once. Of an H100, 15 of 8 are
// published (accel-sim/gpu-app-collection#87), and 30 of 4 and 7 of 16 are the least that leaves; of the others all are
// assumed.
constexpr Case kSold[] = {{"H100", {90, 132, 227 << 10, 16, {66, 30, 15, 7}}},
                          {"H200", {90, 132, 227 << 10, 16, {66, 30, 15, 7}}},
                          {"B200", {100, 148, 227 << 10, 16, {74, 36, 17, 7}}},
                          {"RTX 5090", {120, 170, 99 << 10, 8, {85, 41, 20, 0}}},
                          {"L40S", {89, 142, 99 << 10, 1}},
                          {"A100", {80, 108, 163 << 10, 1}},
                          {"H200, a seventh", {90, 16, 227 << 10, 8, {8, 4, 2, 0}}},
                          {"H200, a seventh in two groups", {90, 16, 227 << 10, 4, {7, 3, 0, 0}}}};
constexpr const Device& kH200 = kSold[1].device;

constexpr Task kTasks[] = {Task::kSample,          Task::kSampleWithReference,
                           Task::kSampleGroup,     Task::kProcessLogits,
                           Task::kHeatLogits,      Task::kLogProb,
                           Task::kLogProbBackward, Task::kSampleWithSupport,
                           Task::kSupportLogProb,  Task::kSupportLogProbBackward,
                           Task::kShardAnswer};
constexpr int64_t kRows[] = {1, 2, 7, 16, 32, 33, 64, 96, 128, 132, 133, 512, 1024, 100000, int64_t{1} << 31};
constexpr int64_t kVocabularies[] = {1,    2,     7,     8,     9,      31,     32,     33,      1000,          4096,
                                     8191, 32000, 50257, 65536, 128256, 151936, 262144, 1000003, kMaxVocabulary};

// Which of Device::clusters is of that size.
size_t ClusterSizeIndex(int blocks) { return blocks == 2 ? 0 : blocks == 4 ? 1 : blocks == 8 ? 2 : 3; }

size_t LeastBytes(Task task, int cluster) {
  const bool has_records = task != Task::kSupportLogProb && task != Task::kSupportLogProbBackward;
  return has_records ? StorageBytes(cluster) : sizeof(SupportStorage);
}

void ExpectFits(const Plan& plan, Task task, const Device& device) {
  EXPECT_LE(plan.shared_bytes, static_cast<size_t>(device.shared_bytes));
  EXPECT_GE(plan.shared_bytes, LeastBytes(task, plan.cluster));
  EXPECT_LE(plan.cluster, device.largest_cluster);
  EXPECT_GE(plan.threads, 128);
  EXPECT_LE(plan.threads, kMostThreads);
  EXPECT_EQ(plan.threads % 32, 0);
  EXPECT_EQ(plan.cluster & (plan.cluster - 1), 0);
  EXPECT_EQ(plan.overlaps_prior, device.compute_capability >= 90 && device.driver >= 12030);
}

TEST(Plan, FitsEveryDeviceForEveryShapeTypeAndTask) {
  for (const Case& on : kDevices)
    for (const Task task : kTasks)
      for (const LogitsType type : test::kLogitsTypes)
        for (const int64_t vocabulary : kVocabularies)
          for (const int64_t rows : kRows) {
            SCOPED_TRACE(std::string(on.name) + ", task " + std::to_string(static_cast<int>(task)) + ", " +
                         std::to_string(rows) + " x " + std::to_string(vocabulary));
            ExpectFits(PlanFor(task, rows, vocabulary, type, on.device), task, on.device);
          }
}

TEST(Plan, AllPlansFitAndHoldTheOneThatIsChosen) {
  const auto same = [](const Plan& a, const Plan& b) {
    return a.threads == b.threads && a.cluster == b.cluster && a.resident == b.resident &&
           a.pilot_shift == b.pilot_shift && a.overlaps_prior == b.overlaps_prior && a.shared_bytes == b.shared_bytes;
  };
  for (const Case& on : kDevices)
    for (const Task task : kTasks)
      for (const LogitsType type : test::kLogitsTypes)
        for (const int64_t vocabulary : kVocabularies) {
          const std::vector<Plan> all = AllPlans(task, vocabulary, type, on.device);
          for (const Plan& plan : all) ExpectFits(plan, task, on.device);
          for (const int64_t rows : kRows) {
            const Plan chosen = PlanFor(task, rows, vocabulary, type, on.device);
            bool is_among_them = false;
            for (const Plan& plan : all) is_among_them = is_among_them || same(plan, chosen);
            EXPECT_TRUE(is_among_them) << on.name << ", task " << static_cast<int>(task) << ", " << rows << " x "
                                       << vocabulary << ": " << chosen.cluster << " x " << chosen.threads;
          }
        }
}

TEST(Plan, IsNamedForItsBlocksAndForHowTheyReadTheirRow) {
  const Device device;
  const auto name = [&](Task task, int64_t rows, int64_t vocabulary) {
    return std::string(NameOf(PlanFor(task, rows, vocabulary, LogitsType::kBFloat16, device)));
  };
  EXPECT_EQ(name(Task::kSample, 1, 128256), "16 blocks a row, resident");
  EXPECT_EQ(name(Task::kSample, 16, 128256), "8 blocks a row, resident");
  EXPECT_EQ(name(Task::kSample, 64, 128256), "2 blocks a row, resident");
  EXPECT_EQ(name(Task::kSample, 1024, 1000), "1 block a row, resident");
  EXPECT_EQ(name(Task::kSample, 1024, 128256), "1 block a row, streaming");
  EXPECT_EQ(name(Task::kLogProb, 1, 128256), "1 block a row");
  std::set<std::string> names;
  for (const Plan& plan : AllPlans(Task::kSample, 32000, LogitsType::kBFloat16, {})) names.insert(NameOf(plan));
  EXPECT_EQ(names.size(), 11u) << "5 sizes of cluster, each resident where it fits or not, and streaming in one block";
}

// Latency counts: a row is split over as many blocks as the device has room for, and read once.
TEST(Plan, FewLongRowsAreSplitOverClustersThatHoldThem) {
  for (const int64_t rows : {1, 8, 9, 16}) {
    const Plan plan = PlanFor(Task::kSample, rows, 128256, LogitsType::kBFloat16, kDevices[4].device);
    EXPECT_EQ(plan.cluster, rows <= 8 ? 16 : 8) << rows << " rows";
    EXPECT_EQ(plan.threads, rows <= 8 ? 256 : 512);
    EXPECT_TRUE(plan.resident);
    EXPECT_EQ(plan.pilot_shift, 0);
  }
  const Plan plan = PlanFor(Task::kSample, 32, 128256, LogitsType::kBFloat16, kDevices[4].device);
  EXPECT_EQ(plan.cluster, 4) << "32 rows of 8 blocks would not run at once on 132 multiprocessors";
}

TEST(Plan, NoRowsShareAMultiprocessorOrWaitForOthersToEndWhereThereAreMultiprocessorsForAll) {
  for (const Case& on : kSold)
    for (const Task task : kTasks)
      for (const LogitsType type : test::kLogitsTypes)
        for (const int64_t vocabulary : kVocabularies)
          for (int64_t rows = 1; rows <= on.device.multiprocessors; ++rows) {
            const Plan plan = PlanFor(task, rows, vocabulary, type, on.device);
            ExpectFits(plan, task, on.device);
            ASSERT_GE(
                plan.cluster == 1 ? on.device.multiprocessors : on.device.clusters[ClusterSizeIndex(plan.cluster)],
                rows)
                << on.name << ", task " << static_cast<int>(task) << ", " << rows << " x " << vocabulary << " of type "
                << static_cast<int>(type) << ": " << NameOf(plan);
          }
}

TEST(Plan, RowsThatFillADeviceGetTheLargestClustersThatRunAtOnce) {
  const auto cluster = [](int64_t rows, int64_t vocabulary, LogitsType type, const Device& device) {
    return PlanFor(Task::kSample, rows, vocabulary, type, device).cluster;
  };
  EXPECT_EQ(cluster(7, 151936, LogitsType::kFloat32, kH200), 16);
  EXPECT_EQ(cluster(8, 151936, LogitsType::kFloat32, kH200), 8) << "7 clusters of 16 run at once";
  EXPECT_EQ(cluster(15, 151936, LogitsType::kFloat32, kH200), 8);
  EXPECT_EQ(cluster(16, 151936, LogitsType::kFloat32, kH200), 4) << "15 clusters of 8 run at once";
  EXPECT_EQ(cluster(15, 128256, LogitsType::kBFloat16, kH200), 8);
  EXPECT_EQ(cluster(16, 128256, LogitsType::kBFloat16, kH200), 4) << "though two blocks of 8 fit a multiprocessor";
  EXPECT_EQ(cluster(30, 151936, LogitsType::kBFloat16, kH200), 4);
  EXPECT_EQ(cluster(31, 151936, LogitsType::kBFloat16, kH200), 2) << "30 clusters of 4 run at once";
  EXPECT_EQ(cluster(32, 128256, LogitsType::kBFloat16, kH200), 2);
  EXPECT_EQ(cluster(33, 128256, LogitsType::kBFloat16, kH200), 2);
  EXPECT_EQ(cluster(34, 128256, LogitsType::kBFloat16, kH200), 2);
  EXPECT_EQ(cluster(66, 151936, LogitsType::kBFloat16, kH200), 2);
  const Plan rereads = PlanFor(Task::kSample, 32, 151936, LogitsType::kFloat32, kH200);
  EXPECT_EQ(rereads.cluster, 2) << "halves of a row do not fit shared memory";
  EXPECT_FALSE(rereads.resident);
  EXPECT_EQ(cluster(2, 128256, LogitsType::kFloat32, kSold[6].device), 8);
  EXPECT_EQ(cluster(2, 128256, LogitsType::kFloat32, kSold[7].device), 4) << "no cluster of 8 fits a group";
}

TEST(Plan, ManyLongRowsOfWhichNoMassIsNeededAreStreamedByOneBlockEach) {
  const Plan plan = PlanFor(Task::kSample, 1024, 128256, LogitsType::kBFloat16, kDevices[4].device);
  EXPECT_EQ(plan.cluster, 1);
  EXPECT_FALSE(plan.resident);
  EXPECT_GT(plan.pilot_shift, 0);
}

TEST(Plan, ManyRowsThatNeedTheirMassStayInTheSharedMemoryOfOneBlockWhereTheyFit) {
  const Plan fits = PlanFor(Task::kSampleWithReference, 1024, 80000, LogitsType::kBFloat16, kDevices[4].device);
  EXPECT_TRUE(fits.resident);
  EXPECT_EQ(fits.cluster, 1);
  const Plan does_not = PlanFor(Task::kSampleWithReference, 1024, 128256, LogitsType::kBFloat16, kDevices[4].device);
  EXPECT_FALSE(does_not.resident);
  EXPECT_EQ(does_not.cluster, 1);
}

TEST(Plan, StreamingBlocksAreSmallWhereFourOfThemFitAndThereAreRowsForThem) {
  const auto threads = [](int64_t rows, const Device& device) {
    return PlanFor(Task::kSample, rows, 128256, LogitsType::kBFloat16, device).threads;
  };
  EXPECT_EQ(threads(264, kDevices[4].device), 512) << "two rows a multiprocessor";
  EXPECT_EQ(threads(265, kDevices[4].device), 256);
  EXPECT_EQ(threads(100000, kDevices[2].device), 512) << "four blocks do not fit 99 KB";
}

TEST(Plan, GroupsOfFewRowsAreSplitOverClustersThatKeepTheirMembersInsteadOfTheRow) {
  for (const int64_t rows : {1, 16, 1024}) {
    const Plan plan = PlanFor(Task::kSampleGroup, rows, 128256, LogitsType::kBFloat16, kDevices[4].device);
    EXPECT_EQ(plan.cluster, rows == 1 ? 16 : rows == 16 ? 8 : 1) << rows << " rows";
    EXPECT_FALSE(plan.resident);
    EXPECT_EQ(plan.pilot_shift, rows <= 16 ? 0 : 3);
    EXPECT_EQ(plan.shared_bytes, StorageBytes(plan.cluster) + sizeof(GroupStorage));
  }
}

TEST(Plan, SupportsOfFewRowsAreFoundByClustersThatReadTheirRowAgain) {
  for (const int64_t rows : {1, 16, 1024}) {
    const Plan plan = PlanFor(Task::kSampleWithSupport, rows, 128256, LogitsType::kBFloat16, kDevices[4].device);
    EXPECT_EQ(plan.cluster, rows == 1 ? 16 : rows == 16 ? 8 : 1) << rows << " rows";
    EXPECT_FALSE(plan.resident);
    EXPECT_EQ(plan.pilot_shift, rows <= 16 ? 0 : 3);
    EXPECT_EQ(plan.shared_bytes, StorageBytes(plan.cluster));
  }
}

TEST(Plan, RowsWithoutRecordsTakeTheirSumsAloneOfSharedMemory) {
  for (const Task task : {Task::kSupportLogProb, Task::kSupportLogProbBackward}) {
    const Plan plan = PlanFor(task, 4096, 151936, LogitsType::kBFloat16, kDevices[4].device);
    EXPECT_EQ(plan.cluster, 1);
    EXPECT_EQ(plan.threads, 512);
    EXPECT_EQ(plan.shared_bytes, sizeof(SupportStorage));
    EXPECT_TRUE(plan.overlaps_prior);
    EXPECT_EQ(PlanFor(task, 4096, 1000, LogitsType::kBFloat16, kDevices[4].device).threads, 128);
  }
}

TEST(Plan, WithoutClustersARowHasOneBlock) {
  for (const int64_t rows : {1, 1024}) {
    const Plan plan = PlanFor(Task::kSample, rows, 128256, LogitsType::kFloat32, kDevices[2].device);
    EXPECT_EQ(plan.cluster, 1);
    EXPECT_FALSE(plan.resident) << "513 KB do not fit 99";
  }
}

TEST(Plan, AShortRowIsNotCutUp) {
  EXPECT_EQ(PlanFor(Task::kSample, 1, 1000, LogitsType::kBFloat16, kDevices[4].device).cluster, 1);
}

}  // namespace
}  // namespace fire::kernels
