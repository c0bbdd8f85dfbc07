//! `parfork completions` and `parfork man`: made from the command line's own description.

use std::io::Write;

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Cli;
use crate::failure::Failure;

/// Prints the completions of a shell.
pub fn completions(shell: Shell) -> Result<(), Failure> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "parfork", &mut text);
    Ok(std::io::stdout().write_all(&text)?)
}

/// Prints the manual page: the command, then each subcommand.
pub fn man() -> Result<(), Failure> {
    let mut text = Vec::new();
    let command = Cli::command();
    clap_mangen::Man::new(command.clone()).render(&mut text)?;
    for subcommand in command.get_subcommands().filter(|subcommand| !subcommand.is_hide_set()) {
        let page = clap_mangen::Man::new(subcommand.clone().display_name(format!("parfork {}", subcommand.get_name())));
        writeln!(text, ".SH PARFORK {}", subcommand.get_name().to_uppercase())?;
        page.render_synopsis_section(&mut text)?;
        page.render_description_section(&mut text)?;
        page.render_options_section(&mut text)?;
        page.render_extra_section(&mut text)?;
    }
    Ok(std::io::stdout().write_all(&text)?)
}
