// PTX text as statements: what is written, where it stands, and which source line it came from. Nothing is decoded yet.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fire::simulator::text {

struct Statement {
  enum Kind { kOpen, kClose, kLabel, kDirective, kInstruction } kind;
  std::string text;  // one line, single spaces, no semicolon; the name alone for a label
  int file = 0;      // of .file
  int line = 0;      // of .loc
};

// .param, .shared, .local, .global or .const: `.align 8 .b8 name[32]`.
struct Declaration {
  std::string name;
  size_t align = 1, element = 1, size = 0;
  bool external = false;
  std::string initialiser;  // what follows '='
};

struct Function {
  std::string name;
  bool entry = false;
  std::vector<Declaration> results, parameters;
  std::string directives;  // between the parameters and the body: .maxntid ...
  std::vector<Statement> body;
};

struct Source {
  int target = 0;
  std::vector<std::string> files;  // by the number of .file
  std::vector<Declaration> globals, constants, shared;
  std::vector<Function> functions;
};

Source Read(const std::string& ptx);  // throws std::invalid_argument

// `.align 16 .b8 x[32]` with the state space already taken off.
Declaration ReadDeclaration(std::string_view text);
size_t TypeBytes(std::string_view type);  // "u32", "f16x2", "pred"; 0 if it is no type
std::string_view Trim(std::string_view text);
// Splits at commas outside braces, brackets and parentheses.
std::vector<std::string> SplitOperands(std::string_view text);

}  // namespace fire::simulator::text
