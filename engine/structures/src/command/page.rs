//! The page of all commands, made from the table.

use super::absent::{ABSENT, ABSENT_OPTIONS};
use super::table::{Command, Group, commands, flags};
use std::fmt::Write;

/// The commands as Markdown, as docs/commands.md shows them: those of the table by group, and what Redis has
/// besides.
#[must_use]
pub fn page() -> String {
    let mut page = String::new();
    for group in Group::ALL {
        let of_group: Vec<&Command> = commands().filter(|command| command.group == group).collect();
        if of_group.is_empty() {
            continue;
        }
        write(&mut page, format_args!("## {}\n\n", group.name()));
        page.push_str("| command | arity | | since | cost | what it does |\n|---|---|---|---|---|---|\n");
        for command in of_group {
            let kind = if command.has(flags::WRITE | flags::ALONE) { "writes" } else { "" };
            let Command { name, arity, since, complexity, summary, .. } = command;
            let name = name.to_uppercase();
            write(
                &mut page,
                format_args!("| {name} | {arity} | {kind} | {since} | {complexity} | {summary} |\n"),
            );
        }
        page.push('\n');
    }
    page.push_str("## What is not there\n\nThese commands of Redis 7.4 answer `unknown command`:\n\n");
    for (group, names) in ABSENT {
        write(&mut page, format_args!("- {group}: {}\n", names.join(", ")));
    }
    let options = ABSENT_OPTIONS.join("`, `");
    write(&mut page, format_args!("\nThese options of Redis 7.4 are a syntax error: `{options}`.\n"));
    page
}

fn write(page: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a string cannot fail.
    let _ = page.write_fmt(text);
}
