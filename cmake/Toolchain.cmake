# How everything of ours is compiled: strict warnings, hardening in every build, fast tools where they are present.

if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 14)
  message(FATAL_ERROR "Flotilla needs g++ 14 or newer but found ${CMAKE_CXX_COMPILER_VERSION}. "
                      "Run scripts/setup, then configure with a preset (cmake --preset release).")
endif()

# clang reads libstdc++ 14's std::expected only with its concepts level spelled out.
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-D__cpp_concepts=202002L> -Wno-builtin-macro-redefined)
endif()

find_program(CCACHE ccache)
if(CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER "${CCACHE}")
  set(CMAKE_CXX_COMPILER_LAUNCHER "${CCACHE}")
endif()
find_program(MOLD mold)
if(MOLD AND NOT APPLE)
  add_link_options(-fuse-ld=mold)
endif()

set(FLOTILLA_SANITIZE "" CACHE STRING "Sanitizers to build with, as -fsanitize= takes them")
if(FLOTILLA_SANITIZE)
  add_compile_options(-fsanitize=${FLOTILLA_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${FLOTILLA_SANITIZE})
else()
  add_compile_options($<$<CONFIG:Release,RelWithDebInfo>:-D_FORTIFY_SOURCE=3>)
endif()

# Bounds of the standard library's containers are checked in release too; the hot loops are ggml's, not ours.
add_compile_definitions(_GLIBCXX_ASSERTIONS)
add_compile_options(-fstack-protector-strong)

# Applied to our own targets only (see Room.cmake), never to what libraries generate.
set(FLOTILLA_WARNINGS -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wimplicit-fallthrough
    -Wno-missing-field-initializers)   # designated initialisers leave the rest to their defaults, on purpose
