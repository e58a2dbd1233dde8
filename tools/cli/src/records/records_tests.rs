//! Each format over small texts: the records with their lines, and what is said of bad ones.

use crate::failure::Failure;
use crate::records::{Format, KeySource, ReadError, Record, Selection, Shape, ValueSource, open};
use crate::text::bytes_text::{self, Encoding};
use std::io::Cursor;

/// Reads everything and writes one line for each record or mistake.
fn read(format: Format, key: &str, value: Option<&str>, text: &[u8]) -> String {
    read_shape(Shape { format, header: None, delimiter: None }, key, value, text)
}

fn read_shape(shape: Shape, key: &str, value: Option<&str>, text: &[u8]) -> String {
    let selection = (!key.is_empty()).then(|| Selection {
        key: if key == "@line" { KeySource::Line } else { KeySource::Field(key.to_owned()) },
        key_prefix: Vec::new(),
        value: value.map_or(ValueSource::All, |name| ValueSource::Field(name.to_owned())),
        encoding: Encoding::Raw,
    });
    let mut reader = match open(Box::new(Cursor::new(text.to_vec())), &shape, selection) {
        Ok(reader) => reader,
        Err(failure) => return format!("refused: {failure}"),
    };
    let (mut out, mut record) = (Vec::new(), Record::default());
    loop {
        match reader.next(&mut record) {
            Ok(true) => out.push(format!(
                "{} {}={}",
                record.line,
                bytes_text::escape(&record.key),
                String::from_utf8_lossy(&record.value)
            )),
            Ok(false) => return out.join("\n"),
            Err(ReadError::Record { line, what }) => out.push(format!("{line} bad: {what}")),
            Err(ReadError::Fatal(Failure::Told { message, .. })) => {
                out.push(format!("stop: {message}"));
                return out.join("\n");
            }
            Err(ReadError::Fatal(other)) => panic!("{other:?}"),
        }
    }
}

#[test]
fn json_lines() {
    let text = b"{\"id\": \"a\", \"n\": 1.50}\n\n{\"id\":7,\"n\":[1, 2]}\r\n  {\"n\":\"x\\ny\",\"id\":true}";
    assert_eq!(
        read(Format::Jsonl, "id", None, text),
        "1 a={\"id\": \"a\", \"n\": 1.50}\n3 7={\"id\":7,\"n\":[1, 2]}\n4 true={\"n\":\"x\\ny\",\"id\":true}"
    );
    assert_eq!(read(Format::Jsonl, "id", Some("n"), text), "1 a=1.50\n3 7=[1, 2]\n4 true=x\ny");
    assert_eq!(read(Format::Jsonl, "@line", Some("id"), b"{\"id\":1}"), "1 000000000001=1");
    assert_eq!(read(Format::Jsonl, "id", Some("id"), b"{\"id\":1}"), "1 1=1");
}

#[test]
fn bad_json_lines_are_named_and_can_be_skipped() {
    let text = b"{\"id\":1}\n{\"id\":\n{}\n[1]\n\
        {\"id\":null}\n{\"id\":{}}\n{\"id\":2} x\n{\"id\":\"\xff\"}\n{\"id\":3}";
    assert_eq!(
        read(Format::Jsonl, "id", None, text),
        "1 1={\"id\":1}\n\
         2 bad: not a JSON object: EOF while parsing a value (column 6)\n\
         3 bad: no field \"id\"\n\
         4 bad: not a JSON object: invalid type: sequence, expected an object\n\
         5 bad: field \"id\" is null; a key is a string or a number\n\
         6 bad: field \"id\" is an object; a key is a string or a number\n\
         7 bad: not a JSON object: trailing characters (column 10)\n\
         8 bad: not a JSON object: invalid unicode code point (column 8)\n\
         9 3={\"id\":3}"
    );
}

#[test]
fn exports_name_their_keys_themselves() {
    let text = b"{\"esker_export\":1,\"encoding\":\"hex\"}\n\
        {\"key\":\"00ff\",\"value\":\"61\"}\n{\"key\":\"0\",\"value\":\"\"}\n{\"key\":\"\"}";
    let expected = "2 \\x00\\xff=a\n3 bad: the key is damaged: not hexadecimal";
    for format in [Format::Esker, Format::Jsonl] {
        let out = read(format, "", None, text);
        assert!(out.starts_with(expected), "{out}");
        assert!(out.ends_with("4 bad: not a JSON object: missing field `value` (column 10)"), "{out}");
    }
    assert!(read(Format::Jsonl, "key", None, text).starts_with("stop: the file is an export"));
    assert!(read(Format::Jsonl, "", None, b"{\"id\":1}").starts_with("stop: --key is needed"));
    let newer = b"{\"esker_export\":2,\"encoding\":\"hex\"}";
    assert_eq!(
        read(Format::Esker, "", None, newer),
        "stop: line 1: an export of version 2; this build reads version 1"
    );
}

#[test]
fn json_arrays_are_read_element_by_element() {
    let text = b" [\n {\"id\":1,\"t\":\"],[{\\\"\"},\n\n{\"id\":\n2}\n, 3, {\"id\":4]} , {\"id\":5}\n]\n";
    assert_eq!(
        read(Format::Json, "id", Some("id"), text),
        "2 1=1\n4 2=2\n6 bad: not a JSON object: invalid type: integer `3`, expected an object (column 1)\n\
         6 bad: not a JSON object: expected `,` or `}` (column 8)\n6 5=5"
    );
    assert_eq!(read(Format::Json, "id", None, b"[]"), "");
    for (text, what) in [
        (&b"{}"[..], "stop: line 1: a JSON array begins with ["),
        (b"", "stop: line 1: a JSON array begins with ["),
        (b"[", "stop: line 1: the array is not closed"),
        (b"[{\"id\":1}\n", "1 1={\"id\":1}\nstop: line 2: the array is not closed"),
        (b"[{\"id\":1} {", "1 bad: not a JSON object: trailing characters (column 10)"),
        (b"[{\"id\":1}] x", "1 1={\"id\":1}\nstop: line 1: something stands behind the end of the array"),
    ] {
        let out = read(Format::Json, "id", None, text);
        assert!(out.starts_with(what) || out.contains("not closed"), "{out}");
    }
}

#[test]
fn comma_separated_values() {
    let text = b"\xef\xbb\xbfid,name\r\n1,Ada\r\n\r\n2,\"two\r\nlines, \"\"quoted\"\"\"\r\n3,\"\"\r\n";
    assert_eq!(
        read(Format::Csv, "id", None, text),
        "2 1={\"id\":\"1\",\"name\":\"Ada\"}\n\
         4 2={\"id\":\"2\",\"name\":\"two\\r\\nlines, \\\"quoted\\\"\"}\n\
         6 3={\"id\":\"3\",\"name\":\"\"}"
    );
    assert_eq!(read(Format::Csv, "name", Some("1"), text), "2 Ada=1\n4 two\\r\\nlines, \"quoted\"=2\n6 =3");
    let plain = Shape { format: Format::Csv, header: Some(false), delimiter: Some(b'|') };
    assert_eq!(
        read_shape(plain, "2", None, b"a|b\nc|d"),
        "1 b={\"1\":\"a\",\"2\":\"b\"}\n2 d={\"1\":\"c\",\"2\":\"d\"}"
    );
    assert_eq!(read(Format::Csv, "id", None, b""), "");
    assert_eq!(read(Format::Csv, "id", None, b"id\n"), "");
}

#[test]
fn bad_rows_are_named_and_can_be_skipped() {
    let text = b"id,name\n1,a,b\n2,ok\n3\n4,\xff\n5,\"open\n6,x\n";
    assert_eq!(
        read(Format::Csv, "id", None, text),
        "2 bad: 3 columns where the first row has 2\n\
         3 2={\"id\":\"2\",\"name\":\"ok\"}\n\
         4 bad: 1 columns where the first row has 2\n\
         5 bad: column \"name\" is not UTF-8; name a column with --value\n\
         6 bad: a quote that opens here is never closed"
    );
    assert_eq!(
        read(Format::Csv, "no", None, text),
        "stop: there is no column \"no\"; the columns are: id, name"
    );
    assert_eq!(
        read(Format::Csv, "3", None, text),
        "stop: there is no column \"3\"; the columns are: id, name"
    );
    assert!(read(Format::Csv, "", None, text).starts_with("refused: --key is needed"));
}

#[test]
fn a_row_may_have_many_and_long_fields() {
    let wide = (0..500).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let long = "x".repeat(100_000);
    let text = format!("{wide}\n{wide}\n");
    assert_eq!(read(Format::Csv, "499", Some("7"), text.as_bytes()), "2 499=7");
    let text = format!("a,b\n1,\"{long}\"\n");
    assert_eq!(read(Format::Csv, "a", Some("b"), text.as_bytes()), format!("2 1={long}"));
}

#[test]
fn tab_separated_values_have_no_quotes() {
    assert_eq!(read(Format::Tsv, "k", Some("v"), b"k\tv\na\t5\" disk\n\"\t\"\n"), "2 a=5\" disk\n3 \"=\"");
}

#[test]
fn semicolon_separated_lines_are_their_own_value() {
    let text = b"Hamburg;12.0\r\n\nBulawayo;8.9;x\nbare\n";
    assert_eq!(
        read(Format::Ssv, "1", None, text),
        "1 Hamburg=Hamburg;12.0\n3 Bulawayo=Bulawayo;8.9;x\n4 bare=bare"
    );
    assert_eq!(
        read(Format::Ssv, "1", Some("2"), text),
        "1 Hamburg=12.0\n3 Bulawayo=8.9\n4 bad: there is no column 2"
    );
    let named = Shape { format: Format::Ssv, header: Some(true), delimiter: None };
    assert_eq!(read_shape(named, "city", Some("t"), b"city;t\nOslo;3\n"), "2 Oslo=3");
    assert!(read(Format::Ssv, "3", None, text).starts_with("stop: there is no column \"3\""));
}
