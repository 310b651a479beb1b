# room(NAME SOURCES a.cc b.cc ROOMS base wire LIBRARIES PkgConfig::X)
#   A library flotilla_NAME from src/NAME. ROOMS are the rooms it may include, all on lower floors.
# room_test(NAME SOURCES a_test.cc LIBRARIES ... [LABELS root slow])
#   One test program NAME_test for the room; each TEST in it becomes a ctest of its own.
# compile_alone(c.cc d_test.cc)
#   Files of this folder that use a name of their own for something else than their neighbours do (tests/tidy finds them).

option(FLOTILLA_UNITY "Compile eight files at a time: a first build takes half as long, a later one somewhat longer" ON)

# Most of a file's time goes to the headers of Asio and JSON, which eight files then read once.
function(compile_together target)
  set_target_properties(${target} PROPERTIES UNITY_BUILD ${FLOTILLA_UNITY} UNITY_BUILD_BATCH_SIZE 8)
endfunction()

function(compile_alone)
  set_source_files_properties(${ARGN} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()

function(room name)
  cmake_parse_arguments(ARG "" "" "SOURCES;ROOMS;LIBRARIES" ${ARGN})
  add_library(flotilla_${name} STATIC ${ARG_SOURCES})
  compile_together(flotilla_${name})
  target_include_directories(flotilla_${name} PUBLIC "${CMAKE_SOURCE_DIR}/src")
  target_compile_options(flotilla_${name} PRIVATE ${FLOTILLA_WARNINGS})
  foreach(below ${ARG_ROOMS})
    target_link_libraries(flotilla_${name} PUBLIC flotilla_${below})
  endforeach()
  target_link_libraries(flotilla_${name} PUBLIC ${ARG_LIBRARIES})
endfunction()

function(room_test name)
  if(NOT FLOTILLA_TESTS)
    return()
  endif()
  cmake_parse_arguments(ARG "" "TIMEOUT;ENVIRONMENT" "SOURCES;LIBRARIES;LABELS" ${ARGN})
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  add_executable(${name}_test ${ARG_SOURCES})
  # A test is compiled more often than it is run.
  target_compile_options(${name}_test PRIVATE ${FLOTILLA_WARNINGS} $<$<CONFIG:Release>:-O1>)
  target_compile_definitions(${name}_test PRIVATE FLOTILLA_SOURCE_DIR="${CMAKE_SOURCE_DIR}")
  target_link_libraries(${name}_test PRIVATE flotilla_${name} ${ARG_LIBRARIES} GTest::gtest_main GTest::gmock)
  gtest_discover_tests(${name}_test DISCOVERY_TIMEOUT 60 DISCOVERY_MODE PRE_TEST
                       PROPERTIES TIMEOUT ${ARG_TIMEOUT} LABELS "${ARG_LABELS}" ENVIRONMENT "${ARG_ENVIRONMENT}")
endfunction()
