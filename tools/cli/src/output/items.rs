//! Findings about a file, as they come: sections of named facts and of rows. This module
//! prints them, as text or as JSON lines, without holding them.

use crate::failure::Outcome;
use crate::output::entries::json_string;
use crate::output::out::Out;
use crate::text::bytes_text::{self, Encoding};
use crate::text::number::grouped;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// What follows belongs under this title: `properties`, `blocks`, `records`.
    Section(&'static str),
    /// A name with its value.
    Fact(&'static str, Cell),
    /// A line of a table. All rows of a section have the same names in the same order.
    Row(Vec<(&'static str, Cell)>),
    /// The file is damaged here; decoding went on where it could.
    Damage(String),
}

/// A value of a finding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// A count, a size in bytes, an offset, a sequence number.
    Number(u64),
    /// A word or a sentence.
    Text(String),
    /// Bytes from the store, printed in the chosen encoding.
    Bytes(Vec<u8>),
    /// Nothing to say.
    Empty,
}

/// Prints findings as they come.
pub struct ItemPrinter {
    out: Out,
    form: Form,
    damaged: bool,
}

enum Form {
    Text(TextTable),
    Json(JsonLines),
}

impl ItemPrinter {
    /// Prints to `out`: as text, or as an object in each line.
    #[must_use]
    pub fn new(out: Out, json: bool, encoding: Encoding) -> ItemPrinter {
        let form = if json {
            Form::Json(JsonLines { encoding, section: "", facts: Vec::new() })
        } else {
            Form::Text(TextTable { encoding, section: "", widths: Vec::new() })
        };
        ItemPrinter { out, form, damaged: false }
    }

    /// Prints a finding.
    ///
    /// # Errors
    /// The output is closed or full.
    pub fn item(&mut self, item: Item) -> Outcome {
        self.damaged |= matches!(item, Item::Damage(_));
        match &mut self.form {
            Form::Text(text) => text.item(&mut self.out, &item),
            Form::Json(lines) => lines.item(&mut self.out, item),
        }
    }

    /// Ends the output. Returns whether damage was among the findings.
    ///
    /// # Errors
    /// The output is closed or full.
    pub fn finish(mut self) -> Outcome<bool> {
        if let Form::Json(lines) = &mut self.form {
            lines.end_facts(&mut self.out)?;
        }
        self.out.finish()?;
        Ok(self.damaged)
    }
}

/// Text: a table's columns are as wide as their names and first row ask for.
struct TextTable {
    encoding: Encoding,
    section: &'static str,
    widths: Vec<usize>,
}

impl TextTable {
    fn item(&mut self, out: &mut Out, item: &Item) -> Outcome {
        match item {
            Item::Section(title) => {
                if !self.section.is_empty() {
                    out.bytes(b"\n")?;
                }
                self.section = title;
                self.widths.clear();
                out.label(title)?;
                out.bytes(b"\n")
            }
            Item::Fact(name, cell) => {
                out.bytes(format!("  {name}: ").as_bytes())?;
                out.bytes(&self.cell(cell))?;
                out.bytes(b"\n")
            }
            Item::Row(cells) => self.row(out, cells),
            Item::Damage(what) => out.line(&format!("  DAMAGE: {}", bytes_text::escape(what.as_bytes()))),
        }
    }

    fn row(&mut self, out: &mut Out, cells: &[(&'static str, Cell)]) -> Outcome {
        if self.widths.len() != cells.len() {
            let width = |(name, cell): &(&str, Cell)| {
                let least = match cell {
                    Cell::Number(_) | Cell::Text(_) => 12,
                    Cell::Bytes(_) | Cell::Empty => 0,
                };
                name.len().max(String::from_utf8_lossy(&self.cell(cell)).chars().count()).max(least).min(60)
            };
            self.widths = cells.iter().map(width).collect();
            let names: Vec<_> = cells.iter().map(|(name, cell)| (name.as_bytes().to_vec(), cell)).collect();
            self.columns(out, &names)?;
        }
        let cells: Vec<_> = cells.iter().map(|(_, cell)| (self.cell(cell), cell)).collect();
        self.columns(out, &cells)
    }

    fn columns(&self, out: &mut Out, cells: &[(Vec<u8>, &Cell)]) -> Outcome {
        let last = cells.len().saturating_sub(1);
        for (column, ((text, cell), width)) in cells.iter().zip(&self.widths).enumerate() {
            let len = String::from_utf8_lossy(text).chars().count();
            let padding = vec![b' '; width.saturating_sub(len)];
            out.bytes(b"  ")?;
            if matches!(cell, Cell::Number(_)) {
                out.bytes(&padding)?;
                out.bytes(text)?;
            } else {
                out.bytes(text)?;
                out.bytes(if column == last { b"" } else { &padding })?;
            }
        }
        out.bytes(b"\n")
    }

    fn cell(&self, cell: &Cell) -> Vec<u8> {
        match cell {
            Cell::Number(number) => grouped(*number).into_bytes(),
            Cell::Text(text) => bytes_text::escape(text.as_bytes()).into_bytes(),
            Cell::Bytes(bytes) => bytes_text::encode(bytes, self.encoding),
            Cell::Empty => b"-".to_vec(),
        }
    }
}

/// JSON lines: the facts of a section are one object, each row and each damage is one.
struct JsonLines {
    encoding: Encoding,
    section: &'static str,
    facts: Vec<(&'static str, Cell)>,
}

impl JsonLines {
    fn item(&mut self, out: &mut Out, item: Item) -> Outcome {
        if let Item::Fact(name, cell) = item {
            self.facts.push((name, cell));
            return Ok(());
        }
        self.end_facts(out)?;
        match item {
            Item::Section(title) => {
                self.section = title;
                Ok(())
            }
            Item::Row(cells) => self.object(out, &cells),
            Item::Damage(what) => self.object(out, &[("damage", Cell::Text(what))]),
            Item::Fact(..) => Ok(()),
        }
    }

    fn end_facts(&mut self, out: &mut Out) -> Outcome {
        if self.facts.is_empty() {
            return Ok(());
        }
        let facts = std::mem::take(&mut self.facts);
        self.object(out, &facts)
    }

    fn object(&self, out: &mut Out, cells: &[(&'static str, Cell)]) -> Outcome {
        out.bytes(b"{\"section\":")?;
        out.bytes(&json_string(self.section.as_bytes(), Encoding::Raw)?)?;
        for (name, cell) in cells {
            out.bytes(b",")?;
            out.bytes(&json_string(name.as_bytes(), Encoding::Raw)?)?;
            out.bytes(b":")?;
            match cell {
                Cell::Number(number) => out.bytes(number.to_string().as_bytes())?,
                Cell::Text(text) => out.bytes(&json_string(text.as_bytes(), Encoding::Raw)?)?,
                Cell::Bytes(bytes) => out.bytes(&json_string(bytes, self.encoding)?)?,
                Cell::Empty => out.bytes(b"null")?,
            }
        }
        out.bytes(b"}\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(json: bool) -> (String, bool) {
        let entry = |offset, key: &[u8], what: &str| {
            let cells = [("offset", Cell::Number(offset)), ("key", Cell::Bytes(key.to_vec()))];
            let mut cells = cells.to_vec();
            cells.push(("kind", Cell::Text(what.to_owned())));
            Item::Row(cells)
        };
        let items = vec![
            Item::Section("properties"),
            Item::Fact("entries", Cell::Number(1234)),
            Item::Fact("smallest key", Cell::Bytes(b"\x00a".to_vec())),
            Item::Fact("dictionary", Cell::Empty),
            Item::Section("blocks"),
            entry(0, b"a-long-first-key", "put"),
            entry(4096, b"b\xff", "delete"),
            Item::Damage("checksum".to_owned()),
        ];
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        let mut printer = ItemPrinter::new(Out::file(&path).unwrap(), json, Encoding::Escape);
        items.into_iter().for_each(|item| printer.item(item).unwrap());
        let damaged = printer.finish().unwrap();
        (std::fs::read_to_string(path).unwrap(), damaged)
    }

    #[test]
    fn findings_read_well_as_text() {
        let expected = "\
properties
  entries: 1,234
  smallest key: \\x00a
  dictionary: -

blocks
        offset  key               kind
             0  a-long-first-key  put
         4,096  b\\xff             delete
  DAMAGE: checksum
";
        assert_eq!(printed(false), (expected.to_owned(), true));
    }

    #[test]
    fn findings_are_json_lines_for_programs() {
        let expected = r#"{"section":"properties","entries":1234,"smallest key":"\\x00a","dictionary":null}
{"section":"blocks","offset":0,"key":"a-long-first-key","kind":"put"}
{"section":"blocks","offset":4096,"key":"b\\xff","kind":"delete"}
{"section":"blocks","damage":"checksum"}
"#;
        assert_eq!(printed(true), (expected.to_owned(), true));
    }
}
