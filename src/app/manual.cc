#include "app/manual.h"

#include <format>
#include <map>
#include <string_view>

#include "app/version.h"

namespace flotilla {
namespace {

// Text as roff shows it: no backslash, dash or leading dot means anything.
std::string escaped(std::string_view text) {
  std::string out;
  bool at_start = true;
  for (const char c : text) {
    if (at_start && (c == '.' || c == '\'')) out += "\\&";
    at_start = c == '\n';
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  return out;
}

std::string with_stop(std::string text) {
  if (!text.empty() && !text.ends_with('.') && !text.ends_with('?')) text += '.';
  return text;
}

std::string value_word(const CommandFlag& flag) {
  if (!flag.takes_value || flag.is_positional) return "";
  if (flag.choices.empty()) return " VALUE";
  std::string text;
  for (const std::string& choice : flag.choices) text += (text.empty() ? " " : "|") + choice;
  return text;
}

std::string flag_text(const CommandFlag& flag) {
  std::string text = std::format(".TP\n\\fB{}\\fR{}\n{}", escaped(flag.name), escaped(value_word(flag)),
                                 escaped(with_stop(flag.help)));
  if (!flag.usual.empty() && flag.usual != "[]") text += escaped(std::format(" Usually {}.", flag.usual));
  if (!flag.variable.empty()) text += std::format("\nEnvironment: \\fB{}\\fR.", flag.variable);
  return text + "\n";
}

// Words in brackets where they may be left out: "run MODEL [PROMPT]".
std::string synopsis(const CommandVerb& verb) {
  std::string text = std::format("\\fBflotilla{}{}\\fR", verb.path.empty() ? "" : " ", escaped(verb.path));
  if (!verb.below.empty()) text += verb.path.empty() ? " \\fIVERB\\fR" : "";
  for (const CommandFlag& flag : verb.flags)
    if (flag.is_positional)
      text += flag.is_required ? std::format(" \\fI{}\\fR", flag.name) : std::format(" [\\fI{}\\fR]", flag.name);
  return text + " [\\fIFLAGS\\fR]";
}

std::string verb_text(const CommandVerb& verb) {
  std::string text =
      std::format(".SS {}\n{}\n.PP\n{}\n", escaped(verb.path), synopsis(verb), escaped(with_stop(verb.help)));
  for (const CommandFlag& flag : verb.flags)
    if (flag.name != "--help") text += flag_text(flag);
  if (!verb.footer.empty()) text += std::format(".PP\n.nf\n{}\n.fi\n", escaped(verb.footer));
  return text;
}

std::string variables_text(const std::vector<CommandVerb>& verbs) {
  std::map<std::string, std::string> flags;  // variable: the flag it stands for
  for (const CommandVerb& verb : verbs)
    for (const CommandFlag& flag : verb.flags)
      if (!flag.variable.empty()) flags.emplace(flag.variable, flag.name);
  std::string text = "Each stands for a flag; a flag goes before its variable, that before the file.\n";
  for (const auto& [variable, flag] : flags) text += std::format(".TP\n\\fB{}\\fR\n{}\n", variable, escaped(flag));
  return text + ".TP\n\\fBNO_COLOR\\fR\nNo colours, also on a terminal.\n";
}

constexpr std::string_view files_text = R"(.TP
\fB~/.local/share/flotilla\fR
A node's home: its identity, its keys, layers it took from others; \fB/var/lib/flotilla\fR for the system's service.
.TP
\fB~/.local/share/flotilla/config.toml\fR, \fB/etc/flotilla/config.toml\fR
What the flags of \fBserve\fR are set to where they are not said; \fBflotilla config show \-\-origin\fR tells whence each comes.
.TP
\fB/etc/flotilla/join\fR
A token by which a machine joins its cluster when it first starts.
)";

constexpr std::string_view exits_text = R"(.TP
\fB0\fR
Done.
.TP
\fB1\fR
Failed, with a sentence on standard error.
.TP
\fB2\fR
The command line was wrong.
.TP
\fB3\fR
No node answers.
.TP
\fB130\fR
Ended by Ctrl\-C.
)";

}  // namespace

std::string manual_page(const std::vector<CommandVerb>& verbs) {
  const CommandVerb& program = verbs.front();
  std::string text = std::format(
      ".\\\" Made by `flotilla man` from the program's own command line.\n"
      ".TH FLOTILLA 1 \"\" \"flotilla {}\" \"User Commands\"\n"
      ".SH NAME\nflotilla \\- one machine for language models out of several computers\n"
      ".SH SYNOPSIS\n{}\n"
      ".SH DESCRIPTION\n{}\n.PP\n.nf\n{}\n.fi\n.SH OPTIONS\n",
      flotilla_version, synopsis(program), escaped(with_stop(program.help)), escaped(program.footer));
  for (const CommandFlag& flag : program.flags) text += flag_text(flag);
  text += ".SH VERBS\n";
  for (const CommandVerb& verb : verbs)
    if (!verb.path.empty()) text += verb_text(verb);
  text += ".SH ENVIRONMENT\n" + variables_text(verbs);
  text += ".SH FILES\n" + std::string(files_text);
  text += ".SH EXIT STATUS\n" + std::string(exits_text);
  return text +
         ".SH SEE ALSO\n\\fBflotilla\\fR \\fIVERB\\fR \\fB\\-\\-help\\fR, the page of a node in a browser, and docs/ "
         "beside the sources.\n";
}

}  // namespace flotilla
