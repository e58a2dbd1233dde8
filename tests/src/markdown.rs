//! Tables and links of Markdown pages, read as data.

/// The body rows of the first table under the heading that reads `heading`, each as its trimmed cells.
/// Empty if there is no such heading or no table before the next one.
#[must_use]
pub fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let is_heading = |line: &str| line.starts_with('#');
    text.lines()
        .skip_while(|line| !(is_heading(line) && line.trim_start_matches('#').trim() == heading))
        .skip(1)
        .take_while(|line| !is_heading(line))
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .map(cells)
        .collect()
}

fn cells(row: &str) -> Vec<String> {
    row.trim().trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect()
}

/// The targets of the inline links `[text](target)` of a page, without their `#fragment`; links to
/// other sites and to places in the same page are left out, and so is what stands in code.
#[must_use]
pub fn local_links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        let mut prose = String::new();
        line.split('`').step_by(2).for_each(|part| prose.push_str(part));
        for (start, _) in prose.match_indices("](") {
            let rest = &prose[start + 2..];
            let Some(end) = rest.find(')') else { continue };
            let target = rest[..end].split('#').next().unwrap_or_default();
            if !target.is_empty() && !target.contains("://") {
                links.push(target.to_string());
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "# Page\n\n| a | b |\n|---|---|\n| no | no |\n\n## Wanted\ntext\n\n\
                        | a | b |\n|---|---|\n| `x` | 1 2 |\n| y | |\n\n| c |\n|---|\n| z |\n## Next\n";

    #[test]
    fn reads_the_first_table_under_a_heading() {
        assert_eq!(table(PAGE, "Wanted"), [["`x`", "1 2"], ["y", ""]]);
        assert!(table(PAGE, "Next").is_empty());
        assert!(table(PAGE, "Absent").is_empty());
    }

    #[test]
    fn finds_the_links_that_stay_in_the_tree() {
        let text = "[a](x.md) and [b](y/z.md#part) but [c](https://e.org/x) `[d](no)` [`e`](e.md)\n\
                    ```\n[f](no.md)\n```\n[g](#here) [h](h.md)";
        assert_eq!(local_links(text), ["x.md", "y/z.md", "e.md", "h.md"]);
    }
}
