//! Addresses to listen on, as the Prometheus ecosystem writes them.

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs as _};
use std::str::FromStr;

/// `HOST:PORT`, `[IPV6]:PORT`, or `:PORT` for all addresses of the machine. Port 0 means any free port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    host: String,
    port: u16,
}

/// Nobody can listen there.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on {address}: {source}; end what uses the port, or choose another address with {flag}"
)]
pub struct BindError {
    address: ListenAddress,
    flag: &'static str,
    source: io::Error,
}

// === impl ListenAddress ===

impl ListenAddress {
    /// Reserves the address, which `flag` gave. The listener is non-blocking, ready for
    /// `tokio::net::TcpListener::from_std`.
    pub fn bind(&self, flag: &'static str) -> Result<TcpListener, BindError> {
        self.try_bind().map_err(|source| BindError {
            address: self.clone(),
            flag,
            source,
        })
    }

    fn try_bind(&self) -> io::Result<TcpListener> {
        let addresses: Vec<SocketAddr> = match self.host.as_str() {
            // The first one takes IPv4 too; a machine without IPv6 has only the second.
            "" => vec![
                (Ipv6Addr::UNSPECIFIED, self.port).into(),
                (Ipv4Addr::UNSPECIFIED, self.port).into(),
            ],
            host => (host, self.port).to_socket_addrs()?.collect(),
        };
        let listener = TcpListener::bind(addresses.as_slice())?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "expected HOST:PORT, [IPV6]:PORT or :PORT, such as :10058";
        let (host, port) = text.rsplit_once(':').ok_or(EXPECTED)?;
        let host = match host
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            Some(ip) if ip.parse::<Ipv6Addr>().is_ok() => ip,
            None if !host.contains([':', '[', ']', '/', ' ']) => host,
            _ => return Err(EXPECTED),
        };
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if is_number => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(EXPECTED),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_the_ecosystem_are_read_and_shown_alike() {
        for text in [
            ":10058",
            "0.0.0.0:10058",
            "[::1]:10058",
            "localhost:0",
            "[::]:1",
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!(address.to_string(), text);
        }
        for text in [
            "",
            "10058",
            ":",
            "host",
            "host:",
            "::1:80",
            ":65536",
            ":-1",
            ":+1",
            "[x]:1",
            "http://a:1",
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_port_in_use_is_said_with_its_address() {
        let free: ListenAddress = "127.0.0.1:0".parse().unwrap();
        let taken = free.bind("--listen").unwrap().local_addr().unwrap();
        let holder = TcpListener::bind(taken).unwrap();
        let address: ListenAddress = taken.to_string().parse().unwrap();
        let error = address.bind("--listen").unwrap_err().to_string();
        assert!(
            error.contains(&format!("cannot listen on {taken}: ")) && error.ends_with("--listen"),
            "{error}"
        );
        drop(holder);
    }

    #[test]
    fn no_host_is_every_address() {
        let every: ListenAddress = ":0".parse().unwrap();
        let listener = every.bind("--listen").unwrap();
        assert!(listener.local_addr().unwrap().ip().is_unspecified());
    }
}
