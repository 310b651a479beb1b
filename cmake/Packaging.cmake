# What is installed beside the program, and the Debian package of it all (make deb).
#
# Completions and the manual page are printed by the program itself, so that they are never those of another release.

# A package is made of what is built: cpack compiles nothing.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
set(made "${CMAKE_BINARY_DIR}/made")
file(MAKE_DIRECTORY "${made}")
# HOME: as anybody's, for what is made is read on other machines.
set(neutral "${CMAKE_COMMAND}" -E env --unset=XDG_DATA_HOME HOME=/home/you)
add_custom_command(
  OUTPUT "${made}/flotilla.1.gz" "${made}/flotilla.bash" "${made}/_flotilla" "${made}/flotilla.fish"
  COMMAND ${neutral} $<TARGET_FILE:flotilla> man | gzip -9n > "${made}/flotilla.1.gz"
  COMMAND ${neutral} $<TARGET_FILE:flotilla> completion bash > "${made}/flotilla.bash"
  COMMAND ${neutral} $<TARGET_FILE:flotilla> completion zsh > "${made}/_flotilla"
  COMMAND ${neutral} $<TARGET_FILE:flotilla> completion fish > "${made}/flotilla.fish"
  DEPENDS flotilla)
add_custom_target(program ALL DEPENDS "${made}/flotilla.1.gz")  # all that is installed

install(FILES "${made}/flotilla.1.gz" DESTINATION share/man/man1)
install(FILES "${made}/flotilla.bash" DESTINATION share/bash-completion/completions RENAME flotilla)
install(FILES "${made}/flotilla.fish" DESTINATION share/fish/vendor_completions.d)
install(FILES "${CMAKE_SOURCE_DIR}/README.md" "${CMAKE_SOURCE_DIR}/CHANGELOG.md" DESTINATION share/doc/flotilla)
install(DIRECTORY "${CMAKE_SOURCE_DIR}/docs" "${CMAKE_SOURCE_DIR}/deploy/grafana" "${CMAKE_SOURCE_DIR}/deploy/prometheus"
        DESTINATION share/doc/flotilla)
if(APPLE)
  install(FILES "${CMAKE_SOURCE_DIR}/deploy/launchd/flotilla.plist" DESTINATION share/flotilla)
  install(FILES "${made}/_flotilla" DESTINATION share/zsh/site-functions)
  return()
endif()

# Units name the program by where it is installed, which is known only then.
install(CODE "set(made \"${made}\")\nset(source \"${CMAKE_SOURCE_DIR}\")")
install(CODE [[
  set(FLOTILLA_PROGRAM "${CMAKE_INSTALL_PREFIX}/bin/flotilla")
  configure_file("${source}/deploy/systemd/flotilla.service.in" "${made}/system/flotilla.service" @ONLY)
  configure_file("${source}/deploy/systemd/user/flotilla.service.in" "${made}/user/flotilla.service" @ONLY)
  foreach(kind system user)
    file(INSTALL "${made}/${kind}/flotilla.service" DESTINATION "${CMAKE_INSTALL_PREFIX}/lib/systemd/${kind}")
  endforeach()
  # Debian's shell looks for completions of packages elsewhere than for those of administrators. What lies outside the
  # prefix is a package's alone to bring.
  if("$ENV{FLOTILLA_PACKAGE}" STREQUAL "deb")
    file(INSTALL "${made}/_flotilla" DESTINATION "${CMAKE_INSTALL_PREFIX}/share/zsh/vendor-completions")
    file(INSTALL "${source}/deploy/etc/config.toml" DESTINATION "/etc/flotilla")
    file(INSTALL "${source}/deploy/debian/copyright" DESTINATION "${CMAKE_INSTALL_PREFIX}/share/doc/flotilla")
  else()
    file(INSTALL "${made}/_flotilla" DESTINATION "${CMAKE_INSTALL_PREFIX}/share/zsh/site-functions")
    file(INSTALL "${source}/deploy/etc/config.toml" DESTINATION "${CMAKE_INSTALL_PREFIX}/share/doc/flotilla")
  endif()
]])

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME flotilla)
set(CPACK_PACKAGE_VENDOR "The Flotilla authors")
set(CPACK_PACKAGE_CONTACT "The Flotilla authors <flotilla@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "one machine for language models out of several computers")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "Computers that run Flotilla find each other, split a model's layers by what each can hold, and answer any\n"
    "OpenAI client. A machine without the model's file stores only its part.")
string(JOIN "" CPACK_DEBIAN_PACKAGE_DESCRIPTION ${CPACK_DEBIAN_PACKAGE_DESCRIPTION})
set(CPACK_PACKAGE_DIRECTORY "${CMAKE_BINARY_DIR}/package")
set(CPACK_SET_DESTDIR ON)
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "prometheus")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(control "${CMAKE_SOURCE_DIR}/deploy/debian")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${control}/postinst;${control}/prerm;${control}/postrm;${control}/conffiles")
include(CPack)
