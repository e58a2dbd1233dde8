//! However bytes are cut, they are the same commands.

use super::{Commands, Limits, Parser, ProtocolError};
use proptest::prelude::*;

type Taken = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

/// Gives the pieces one after the other, as a connection would.
fn take(pieces: &[&[u8]], most: usize) -> Taken {
    let (mut parser, mut buffer, mut found) = (Parser::default(), Vec::new(), Vec::new());
    let mut commands = Commands::default();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            commands.clear();
            let (taken, result) = parser.take(&mut buffer, Limits::default(), most, &mut commands);
            let args = |number| commands.args(number).iter().map(|place| buffer[place.clone()].to_vec());
            found.extend((0..commands.len()).map(|number| args(number).collect::<Vec<_>>()));
            if let Err(error) = result {
                return (found, Some(error));
            }
            buffer.drain(..taken);
            if taken == 0 || commands.is_empty() {
                break;
            }
        }
    }
    (found, None)
}

fn whole(bytes: &[u8]) -> Taken {
    take(&[bytes], usize::MAX)
}

fn encoded(args: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[test]
fn arrays_and_lines_are_commands() {
    let (found, error) =
        whole(b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\nping\r\n\r\n*0\r\n*-1\r\nset a \"b c\"\n*1\r\n$0\r\n");
    let shown: Vec<Vec<String>> = found
        .iter()
        .map(|args| args.iter().map(|arg| String::from_utf8_lossy(arg).into_owned()).collect())
        .collect();
    assert_eq!(shown, [vec!["GET", "k"], vec!["ping"], vec!["set", "a", "b c"]]);
    assert_eq!(error, None);
}

#[test]
fn what_is_wrong_is_named() {
    let long = |first: u8| [vec![first], vec![b'1'; 70_000]].concat();
    let bulk = [b"*1\r\n".to_vec(), long(b'$')].concat();
    for (bytes, expected) in [
        (&b"*x\r\n"[..], ProtocolError::Count),
        (b"*\r\n", ProtocolError::Count),
        (b"*1048577\r\n", ProtocolError::Count),
        (b"*99999999999999999999\r\n", ProtocolError::Count),
        (b"*+1\r\n", ProtocolError::Count),
        (b"*1\r\n:1\r\n", ProtocolError::Expected(b':')),
        (b"*1\r\n\r\n", ProtocolError::Expected(b'\r')),
        (b"*1\r\n$-1\r\n", ProtocolError::Length),
        (b"*1\r\n$\r\n", ProtocolError::Length),
        (b"*1\r\n$1x\r\n", ProtocolError::Length),
        (b"*1\r\n$536870913\r\n", ProtocolError::Length),
        (b"*1\r\n$9223372036854775807\r\n", ProtocolError::Length),
        (b"get \"k\r\n", ProtocolError::Quotes),
        (&long(b'*'), ProtocolError::CountTooLong),
        (&bulk, ProtocolError::LengthTooLong),
        (&long(b'a'), ProtocolError::InlineTooLong),
    ] {
        assert_eq!(whole(bytes), (vec![], Some(expected)), "{}", bytes.escape_ascii());
    }
    assert_eq!(ProtocolError::Expected(b':').to_string(), "ERR Protocol error: expected '$', got ':'");
}

#[test]
fn a_declared_length_reserves_nothing() {
    let mut parser = Parser::default();
    let mut commands = Commands::default();
    let mut bytes = b"*1048576\r\n$536870912\r\nabc".to_vec();
    let (taken, result) = parser.take(&mut bytes, Limits::default(), 100, &mut commands);
    assert_eq!((taken, result, commands.len()), (0, Ok(()), 0));
    assert!(parser.memory() < 1 << 10);
    assert_eq!(parser.expects(), 512 << 20);
}

#[test]
fn as_many_commands_as_are_asked_for() {
    let bytes = encoded(&[b"ping".to_vec()]).repeat(10);
    let (mut parser, mut commands) = (Parser::default(), Commands::default());
    let (taken, result) = parser.take(&mut bytes.clone(), Limits::default(), 3, &mut commands);
    assert_eq!((taken, result, commands.len()), (3 * 14, Ok(()), 3));
    assert_eq!((commands.bytes(0), commands.bytes(2)), (0, 2 * 14));
    assert!(parser.is_between());
    assert_eq!(take(&[&bytes], 3), whole(&bytes));
}

fn command() -> impl Strategy<Value = Vec<Vec<u8>>> {
    proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..20), 1..6)
}

/// Bytes that look like the protocol, most of them.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"\r\n".to_vec()),
        Just(b"*".to_vec()),
        Just(b"$".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"'".to_vec()),
        Just(b"\\x4".to_vec()),
        Just(b" ".to_vec()),
        Just(b"*2\r\n$1\r\na\r\n".to_vec()),
        (-2i64..12).prop_map(|number| number.to_string().into_bytes()),
        proptest::collection::vec(any::<u8>(), 0..4),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn pieces<'b>(bytes: &'b [u8], cuts: &[usize]) -> Vec<&'b [u8]> {
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_commands(
        commands in proptest::collection::vec(command(), 0..8),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
        most in 1usize..5,
    ) {
        let bytes = commands.iter().flat_map(|args| encoded(args)).collect::<Vec<u8>>();
        prop_assert_eq!(&whole(&bytes), &(commands, None));
        prop_assert_eq!(take(&pieces(&bytes, &cuts), most), whole(&bytes));
    }

    #[test]
    fn noise_is_understood_the_same_however_it_is_cut(
        bytes in noise(),
        cuts in proptest::collection::vec(any::<usize>(), 0..20),
    ) {
        prop_assert_eq!(take(&pieces(&bytes, &cuts), usize::MAX), whole(&bytes));
    }
}
