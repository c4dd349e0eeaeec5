#include "tests/simulator/decoder/ptx_text.h"

#include <cctype>
#include <cstdlib>
#include <stdexcept>

namespace fire::simulator::text {
namespace {

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

bool StartsWith(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

// Takes the first word off.
std::string_view Word(std::string_view& text) {
  text = Trim(text);
  size_t end = 0;
  while (end < text.size() && !IsSpace(text[end])) ++end;
  std::string_view word = text.substr(0, end);
  text = Trim(text.substr(end));
  return word;
}

size_t Number(std::string_view text) { return std::strtoull(std::string(text).c_str(), nullptr, 0); }

class Reader {
 public:
  explicit Reader(const std::string& ptx) : text_(ptx) {}

  Source Run() {
    while (Skip(), at_ < text_.size()) TopLevel();
    if (source_.target == 0) throw std::invalid_argument("not PTX: there is no .target directive");
    return std::move(source_);
  }

 private:
  // Past spaces and comments.
  void Skip() {
    for (;;) {
      while (at_ < text_.size() && (IsSpace(text_[at_]) || text_[at_] == '\0')) ++at_;
      if (text_.compare(at_, 2, "//") == 0) {
        at_ = std::min(text_.find('\n', at_), text_.size());
      } else if (text_.compare(at_, 2, "/*") == 0) {
        size_t end = text_.find("*/", at_);
        at_ = end == std::string::npos ? text_.size() : end + 2;
      } else {
        return;
      }
    }
  }

  std::string Line() {
    size_t end = std::min(text_.find('\n', at_), text_.size());
    std::string line = text_.substr(at_, end - at_);
    at_ = end;
    return line;
  }

  // The text up to one of the characters, comments gone and spaces single; the character itself is not taken.
  std::string Until(std::string_view ends) {
    std::string out;
    bool space = false;
    for (; at_ < text_.size(); ++at_) {
      char c = text_[at_];
      if (c == '"') {
        size_t close = std::min(text_.find('"', at_ + 1), text_.size() - 1);
        if (space) out += ' ';
        space = false;
        out.append(text_, at_, close - at_ + 1);
        at_ = close;
        continue;
      }
      if (ends.find(c) != std::string_view::npos) return out;
      if (IsSpace(c) || text_.compare(at_, 2, "//") == 0 || text_.compare(at_, 2, "/*") == 0) {
        Skip();
        --at_;
        space = true;
        continue;
      }
      if (space && !out.empty()) out += ' ';
      space = false;
      out += c;
    }
    throw std::invalid_argument("not PTX: the text ends within '" + out + "'");
  }

  void TopLevel() {
    if (text_.compare(at_, 5, ".file") == 0) {
      std::string line = Line();
      std::string_view rest = std::string_view(line).substr(5);
      size_t number = Number(Word(rest)), open = rest.find('"'), close = rest.find('"', open + 1);
      if (source_.files.size() <= number) source_.files.resize(number + 1);
      source_.files[number] = std::string(rest.substr(open + 1, close - open - 1));
    } else if (text_.compare(at_, 8, ".section") == 0) {
      at_ = std::min(text_.find('}', at_), text_.size() - 1) + 1;
    } else if (text_.compare(at_, 8, ".version") == 0 || text_.compare(at_, 13, ".address_size") == 0) {
      Line();
    } else if (text_.compare(at_, 7, ".target") == 0) {
      std::string line = Line();
      size_t digits = line.find("sm_");
      if (digits == std::string::npos) throw std::invalid_argument("not PTX: " + line);
      source_.target = std::atoi(line.c_str() + digits + 3);
    } else {
      Item();
    }
  }

  // A variable or a function.
  void Item() {
    std::string head = Until(";{(=");
    bool entry = head.find(".entry") != std::string::npos;
    if (entry || head.find(".func") != std::string::npos) return ReadFunction(head, entry);
    if (text_[at_] == '=' || text_[at_] == '{') {
      if (text_[at_] == '=') ++at_;
      head += "=" + Until(";");
    }
    if (text_[at_] != ';') throw std::invalid_argument("not PTX: " + head);
    ++at_;
    Variable(head);
  }

  void Variable(std::string_view head) {
    bool external = false;
    while (StartsWith(head, ".visible") || StartsWith(head, ".extern") || StartsWith(head, ".weak") ||
           StartsWith(head, ".common")) {
      external |= StartsWith(Word(head), ".extern");
    }
    std::string_view space = Word(head);
    if (space == ".pragma" || space == ".alias") return;
    Declaration declaration = ReadDeclaration(head);
    declaration.external = external;
    if (space == ".global") {
      source_.globals.push_back(declaration);
    } else if (space == ".const") {
      source_.constants.push_back(declaration);
    } else if (space == ".shared") {
      source_.shared.push_back(declaration);
    } else {
      throw std::invalid_argument("not PTX: " + std::string(space) + " " + std::string(head));
    }
  }

  std::vector<Declaration> Parameters() {  // at '('
    ++at_;
    std::string list = Until(")");
    ++at_;
    std::vector<Declaration> out;
    for (const std::string& one : SplitOperands(list)) {
      std::string_view rest = one;
      std::string_view space = Word(rest);
      if (space != ".param") throw std::invalid_argument("not PTX: parameter " + one);
      out.push_back(ReadDeclaration(rest));
    }
    return out;
  }

  void ReadFunction(std::string_view head, bool entry) {
    Function function;
    function.entry = entry;
    if (!entry && text_[at_] == '(' && Trim(head).substr(Trim(head).size() - 5) == ".func") {
      function.results = Parameters();
      Skip();
      function.name = Trim(Until(";{("));
    } else {
      function.name = Trim(head.substr(head.rfind(' ') + 1));
    }
    if (text_[at_] == '(') function.parameters = Parameters();
    Skip();
    function.directives = Until(";{");
    if (text_[at_] == '{') {
      Body(function);
      source_.functions.push_back(std::move(function));
    } else {
      ++at_;  // a declaration; calls to it are refused when they are decoded
    }
  }

  void Body(Function& function) {
    int depth = 0, file = 0, line = 0;
    auto add = [&](Statement::Kind kind, std::string text) {
      function.body.push_back({kind, std::move(text), file, line});
    };
    do {
      Skip();
      if (at_ >= text_.size()) throw std::invalid_argument("not PTX: function " + function.name + " has no end");
      char c = text_[at_];
      if (c == '{') {
        ++depth, ++at_;
        add(Statement::kOpen, "{");
      } else if (c == '}') {
        --depth, ++at_;
        add(Statement::kClose, "}");
      } else if (text_.compare(at_, 4, ".loc") == 0 && IsSpace(text_[at_ + 4])) {
        std::string loc = Line();
        std::string_view rest = std::string_view(loc).substr(4);
        file = int(Number(Word(rest)));
        line = int(Number(Word(rest)));
      } else if (c == ';') {
        ++at_;
      } else {
        OneStatement(add);
      }
    } while (depth > 0);
  }

  template <class Add>
  void OneStatement(Add& add) {
    size_t end = at_;  // a label is a name followed by a colon
    while (end < text_.size() && (std::isalnum(uint8_t(text_[end])) || text_[end] == '_' || text_[end] == '$')) ++end;
    if (end > at_ && text_[end] == ':' && text_[end + 1] != ':') {
      add(Statement::kLabel, text_.substr(at_, end - at_));
      at_ = end + 1;
      return;
    }
    bool directive = text_[at_] == '.';
    std::string statement = Until(";");
    ++at_;
    add(directive ? Statement::kDirective : Statement::kInstruction, std::move(statement));
  }

  const std::string& text_;
  size_t at_ = 0;
  Source source_;
};

}  // namespace

Source Read(const std::string& ptx) { return Reader(ptx).Run(); }

std::string_view Trim(std::string_view text) {
  while (!text.empty() && IsSpace(text.front())) text.remove_prefix(1);
  while (!text.empty() && IsSpace(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string> SplitOperands(std::string_view text) {
  std::vector<std::string> out;
  std::string one;
  int depth = 0;
  for (char c : text) {
    if (c == '{' || c == '[' || c == '(') ++depth;
    if (c == '}' || c == ']' || c == ')') --depth;
    if (c == ',' && depth == 0) {
      out.emplace_back(Trim(one));
      one.clear();
    } else {
      one += c;
    }
  }
  if (!Trim(one).empty()) out.emplace_back(Trim(one));
  return out;
}

size_t TypeBytes(std::string_view type) {
  if (type == "pred" || type == "b8" || type == "u8" || type == "s8") return 1;
  if (type == "b16" || type == "u16" || type == "s16" || type == "f16" || type == "bf16") return 2;
  if (type == "b32" || type == "u32" || type == "s32" || type == "f32" || type == "f16x2" || type == "bf16x2") return 4;
  if (type == "b64" || type == "u64" || type == "s64" || type == "f64") return 8;
  if (type == "b128") return 16;
  return 0;
}

Declaration ReadDeclaration(std::string_view text) {
  Declaration out;
  const std::string whole(text);
  if (size_t equals = text.find('='); equals != std::string_view::npos) {
    out.initialiser = Trim(text.substr(equals + 1));
    text = text.substr(0, equals);
  }
  text = Trim(text);
  bool pointer = false;  // after .ptr, the space and the alignment are those of what it points to
  while (!text.empty() && text[0] == '.') {
    std::string_view word = Word(text);
    if (word == ".align") {
      size_t align = Number(Word(text));
      if (!pointer) out.align = align;
    } else if (word == ".ptr") {
      pointer = true;
    } else if (size_t bytes = TypeBytes(word.substr(1))) {
      out.element = bytes;
      out.align = std::max(out.align, bytes);
    } else if (word != ".global" && word != ".shared" && word != ".const" && word != ".local" &&
               word != ".attribute(.managed)") {
      throw std::invalid_argument("not PTX: declaration " + whole);
    }
  }
  size_t count = 1, open = text.find('[');
  out.name = Trim(text.substr(0, open));
  while (open != std::string_view::npos) {
    size_t close = text.find(']', open);
    count *= Number(text.substr(open + 1, close - open - 1));
    open = text.find('[', close);
  }
  out.size = count * out.element;
  return out;
}

}  // namespace fire::simulator::text
