// The main function of GoogleTests on the simulated device.
#include <gtest/gtest.h>

#include "tests/simulator/tests/listener.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  testing::UnitTest::GetInstance()->listeners().Append(new fire::simulator::Listener);
  return RUN_ALL_TESTS();
}
