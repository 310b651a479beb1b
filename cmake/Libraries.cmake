# The libraries we stand on (docs/dependencies.md says why each). Found once; rooms link them by these names.

find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL 3 REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
pkg_check_modules(TOMLPLUSPLUS REQUIRED tomlplusplus)  # used as headers only
find_package(spdlog REQUIRED)
find_package(CURL REQUIRED)
find_package(ggml REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
if(FLOTILLA_TESTS)
  find_package(GTest REQUIRED)
  include(GoogleTest)
endif()

# Asio and its SSL part are compiled once here instead of in every file that includes them.
add_library(flotilla_asio STATIC "${CMAKE_SOURCE_DIR}/cmake/asio.cc")
target_link_libraries(flotilla_asio PUBLIC Boost::headers OpenSSL::SSL OpenSSL::Crypto Threads::Threads)
target_compile_definitions(flotilla_asio PUBLIC BOOST_ASIO_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
                                                BOOST_BEAST_SEPARATE_COMPILATION)
