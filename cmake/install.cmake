# What `cmake --install` puts where `find_package(fire_sampling)` finds it. The compiled parts of the Python
# package are a component of their own, which only setup.py installs.
include(CMakePackageConfigHelpers)

set(FIRE_CONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/fire_sampling)
configure_package_config_file(cmake/fire_sampling-config.cmake.in
  ${PROJECT_BINARY_DIR}/fire_sampling-config.cmake INSTALL_DESTINATION ${FIRE_CONFIG_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/fire_sampling-config-version.cmake
  COMPATIBILITY SameMinorVersion)

install(TARGETS fire_sampling EXPORT fire_sampling-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
if(TARGET fire_sampling_cuda)
  install(TARGETS fire_sampling_cuda EXPORT fire_sampling-cuda-targets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT fire_sampling-cuda-targets NAMESPACE fire_sampling:: DESTINATION ${FIRE_CONFIG_DIR})
  install(FILES cmake/cudart.cmake DESTINATION ${FIRE_CONFIG_DIR})
else()
  set(FIRE_NO_HEADER PATTERN "cuda.h" EXCLUDE)
endif()
install(EXPORT fire_sampling-targets NAMESPACE fire_sampling:: DESTINATION ${FIRE_CONFIG_DIR})
install(DIRECTORY csrc/include/fire DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING
  ${FIRE_NO_HEADER} PATTERN "*.h")
install(FILES ${PROJECT_BINARY_DIR}/fire_sampling-config.cmake
  ${PROJECT_BINARY_DIR}/fire_sampling-config-version.cmake DESTINATION ${FIRE_CONFIG_DIR})
