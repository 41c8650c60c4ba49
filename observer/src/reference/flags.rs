//! The page of commands and flags, from the command line as it is parsed.

use super::{code, table};

pub(super) fn write(program: &clap::Command, page: &mut String) {
    page.push_str(
        "# Commands and flags\n\n\
         Every flag is also an environment variable. A flag that may be repeated takes, in its variable, values with \
         commas between them; of expressions, one per line. Exit codes: 0 done, 1 failed while running, 2 wrong \
         usage, 3 this host or these privileges cannot do it.\n",
    );
    for command in program.get_subcommands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        page.push_str(&format!("\n## `mcp-observer {}`\n\n{about}.\n\n", command.get_name()));
        let rows: Vec<_> = command.get_arguments().filter(|flag| is_shown(flag)).map(row).collect();
        if !rows.is_empty() {
            table(page, ["Flag", "Variable", "Default", "Meaning"], rows);
        }
    }
}

fn is_shown(flag: &clap::Arg) -> bool {
    !flag.is_hide_set() && !matches!(flag.get_id().as_str(), "help" | "version")
}

fn row(flag: &clap::Arg) -> [String; 4] {
    let names = flag.get_value_names().unwrap_or_default();
    let value = names.iter().map(|name| format!("<{name}>")).collect::<Vec<_>>().join(" ");
    let takes_value = flag.get_num_args().is_none_or(|count| count.takes_values());
    let shown = match (flag.get_short(), flag.get_long()) {
        (short, Some(long)) => {
            let short = short.map(|short| format!("-{short}, ")).unwrap_or_default();
            format!("{short}--{long}{}", if takes_value { format!(" {value}") } else { String::new() })
        }
        _ => value,
    };
    let choices: Vec<String> =
        flag.get_possible_values().iter().map(|choice| code(choice.get_name())).collect();
    let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
    let help = if choices.is_empty() || !takes_value {
        help
    } else {
        format!("{help} One of {}", choices.join(", "))
    };
    let default = flag.get_default_values().iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>();
    let variable = flag.get_env().map(|env| env.to_string_lossy().into_owned()).unwrap_or_default();
    [code(shown.trim()), code(&variable), code(&default.join(" ")), help]
}
