# Runs PROGRAM with ARGUMENT and fails unless it prints the file GOLDEN.
execute_process(COMMAND ${PROGRAM} ${ARGUMENT} OUTPUT_VARIABLE printed RESULT_VARIABLE result)
file(READ ${GOLDEN} expected)
if(NOT result EQUAL 0)
  message(FATAL_ERROR "${PROGRAM} ${ARGUMENT} ended with ${result}")
endif()
if(NOT printed STREQUAL expected)
  message(FATAL_ERROR "${PROGRAM} ${ARGUMENT} computes other bits.\nexpected:\n${expected}\nprinted:\n${printed}")
endif()
