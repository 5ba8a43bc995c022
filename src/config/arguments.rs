//! The command line as configuration text: `--port 7000 --save ''` are two lines.

use crate::base::quote;

/// What a command line asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    /// The configuration file.
    pub file: Option<String>,
    /// Whether more text is to be read from standard input, after the file and before `text`.
    pub stdin: bool,
    /// The directives of the command line, to be loaded last.
    pub text: String,
}

/// Takes the arguments behind the program's name apart.
///
/// The first one is the file unless it starts with `-`. A `-` at either end means standard input. An
/// argument that starts with `--` begins a directive, but right behind a directive's bare name it is its
/// value, however it starts: `--proc-title-template --mine--`. Only `--save`, which is often given nothing,
/// is not followed that way.
pub fn from_command_line(arguments: &[String]) -> CommandLine {
    let mut line = CommandLine::default();
    let mut needs_value = false;
    for (index, argument) in arguments.iter().enumerate() {
        let (first, last) = (index == 0, index + 1 == arguments.len());
        if argument == "-" && (first || last) {
            line.stdin = true;
            continue;
        }
        if first && !argument.starts_with('-') {
            line.file = Some(argument.clone());
            continue;
        }
        let Some(name) = argument.strip_prefix("--").filter(|_| !needs_value) else {
            line.text.push_str(&quote::quoted(argument.as_bytes()));
            line.text.push(' ');
            needs_value = false;
            continue;
        };
        if !line.text.is_empty() {
            line.text.push('\n');
        }
        line.text.push_str(name);
        line.text.push(' ');
        // "--port 7000" may be one argument; then the value is already there.
        needs_value = quote::split_words(name.as_bytes()).is_some_and(|words| words.len() == 1);
        let next_is_name = arguments.get(index + 1).is_none_or(|next| next.starts_with("--"));
        if needs_value && name.trim().eq_ignore_ascii_case("save") && next_is_name {
            line.text.push_str("\"\"");
            needs_value = false;
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], file: Option<&str>, stdin: bool, text: &str) {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let expected = CommandLine { file: file.map(str::to_owned), stdin, text: text.to_owned() };
        assert_eq!(from_command_line(&arguments), expected, "{arguments:?}");
    }

    #[test]
    fn arguments_become_lines() {
        check(&[], None, false, "");
        check(&["/etc/redis.conf"], Some("/etc/redis.conf"), false, "");
        check(&["--port", "7000"], None, false, "port \"7000\" ");
        check(
            &["a.conf", "--port", "7000", "--dir", "a b"],
            Some("a.conf"),
            false,
            "port \"7000\" \ndir \"a b\" ",
        );
        check(&["--port 7000", "--hz 5"], None, false, "port 7000 \nhz 5 ");
        check(&["--save", "--port", "1"], None, false, "save \"\"\nport \"1\" ");
        check(&["--port", "1", "--save"], None, false, "port \"1\" \nsave \"\"");
        check(&["--save", "900", "1"], None, false, "save \"900\" \"1\" ");
        check(&["--save", ""], None, false, "save \"\" ");
        check(&["--requirepass", "--x"], None, false, "requirepass \"--x\" ");
        check(&["-", "--port", "1"], None, true, "port \"1\" ");
        check(&["a.conf", "-"], Some("a.conf"), true, "");
        check(&["--logfile", "-"], None, true, "logfile ");
        check(&["a.conf", "b.conf"], Some("a.conf"), false, "\"b.conf\" ");
    }
}
