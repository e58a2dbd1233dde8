//! What a client sends: the parser of the server.

use super::allocation;
use esker_server::protocol::{Commands, Limits, Parser, ProtocolError};

/// Smaller than in use, so that the fuzzer meets it.
const LIMITS: Limits = Limits { bulk_bytes: 4096 };

/// The first byte says in which pieces the others arrive: however they are cut, the same commands come out.
pub(super) fn requests(data: &[u8]) {
    let Some((&seed, data)) = data.split_first() else { return };
    // Commands hold copies of the arguments here, and places of them there.
    let whole = allocation::within(allocation::plain(8 * data.len()), || parsed(data, |left| left, 1024));
    let mut state = u32::from(seed) + 1;
    let mut piece = |left: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (1 + (state >> 24) as usize % (1 + usize::from(seed))).min(left)
    };
    assert_eq!(parsed(data, &mut piece, 3), whole, "cut into pieces");
    let arguments = whole.0.iter().flatten().map(Vec::len);
    assert!(arguments.sum::<usize>() <= data.len(), "nothing comes from nowhere");
}

/// Commands, and what ended them.
type Parsed = (Vec<Vec<Vec<u8>>>, Option<ProtocolError>);

fn parsed(data: &[u8], mut piece: impl FnMut(usize) -> usize, most: usize) -> Parsed {
    let (mut parser, mut commands) = (Parser::default(), Commands::default());
    let (mut input, mut given, mut found) = (Vec::new(), 0, Vec::new());
    loop {
        // All that is whole, before more arrives.
        loop {
            commands.clear();
            let (taken, result) = parser.take(&mut input, LIMITS, most, &mut commands);
            for number in 0..commands.len() {
                let args = commands.args(number).iter().map(|place| input[place.clone()].to_vec());
                found.push(args.collect());
            }
            if let Err(error) = result {
                return (found, Some(error));
            }
            input.drain(..taken);
            if commands.is_empty() {
                break;
            }
        }
        if given == data.len() {
            return (found, None);
        }
        let count = piece(data.len() - given);
        input.extend_from_slice(&data[given..given + count]);
        given += count;
    }
}

/// Where fuzzing starts from: every form that there is, whole, half and wrong.
pub(super) const SEEDS: &[&[u8]] = &[
    b"\x07*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$5\r\nvalue\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
    b"\x01PING\r\nset \"a key\" 'it\\'s' \"\\x41\\n\"\nget k\r\n\r\n",
    b"\x03*1\r\n$4\r\nPING\r\nPING\r\n*0\r\n*-1\r\n*2\r\n$4\r\nECHO\r\n$0\r\n\r\n",
    b"\x00*2\r\n$4\r\nECHO\r\n$4097\r\n",
    b"\x09*1048576\r\n$3\r\nDEL\r\n$1\r\na\r\n",
    b"\x05*1048577\r\n",
    b"\x05*2\r\n$3\r\nGET\r\n:1\r\n",
    b"\x02get \"k\r\n",
    b"\xff*3\r\n$4\r\nMSET\r\n$2\r\n\r\n\r\n$3\r\n*1\r\r\n*1\r\n$7\r\nCOMMAND\r\n",
];
