//! Bytes to a server, bytes from it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// A command as it goes over the wire.
#[must_use]
pub fn encode<A: AsRef<[u8]>>(args: &[A]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// A connection that takes replies as bytes, whatever is in them: [`crate::redis::Client`] takes them apart.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// A client on a connection.
    #[must_use]
    pub fn new(stream: TcpStream) -> Client {
        Client(BufReader::new(stream))
    }

    /// As [`encode`], of arguments of different sizes.
    #[must_use]
    pub fn encode(args: &[&[u8]]) -> Vec<u8> {
        encode(args)
    }

    /// Sends bytes.
    ///
    /// # Errors
    /// What the connection gives.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.get_mut().write_all(bytes)
    }

    /// The bytes of one reply, of RESP2 or RESP3.
    ///
    /// # Errors
    /// What the connection gives; its end within a reply.
    pub fn reply(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_one(&mut bytes)?;
        Ok(bytes)
    }

    fn read_one(&mut self, bytes: &mut Vec<u8>) -> io::Result<()> {
        let start = bytes.len();
        if self.0.read_until(b'\n', bytes)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let number = || {
            let text = bytes.get(start + 1..bytes.len() - 2)?;
            std::str::from_utf8(text).ok()?.parse::<i64>().ok()
        };
        let count = usize::try_from(number().unwrap_or(-1)).unwrap_or(0);
        let absent = number() == Some(-1);
        match bytes[start] {
            b'$' | b'=' if !absent => {
                let from = bytes.len();
                bytes.resize(from + count + 2, 0);
                self.0.read_exact(&mut bytes[from..])?;
            }
            b'*' | b'~' | b'>' => (0..count).try_for_each(|_| self.read_one(bytes))?,
            b'%' => (0..count * 2).try_for_each(|_| self.read_one(bytes))?,
            _ => {}
        }
        Ok(())
    }

    /// Sends a command given as words between spaces, and returns its reply as text.
    ///
    /// # Panics
    /// If there is none.
    pub fn ask(&mut self, words: &str) -> String {
        let args: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        self.send(&Client::encode(&args)).expect("the command is sent");
        String::from_utf8_lossy(&self.reply().expect("a reply")).into_owned()
    }

    /// Everything to the end of the connection.
    ///
    /// # Errors
    /// What the connection gives, but for a reset, which is an end as well.
    pub fn rest(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match self.0.read_to_end(&mut bytes) {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => Err(error),
            _ => Ok(bytes),
        }
    }
}
