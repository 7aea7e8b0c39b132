//! Who is at the other end: the address of a client, also behind proxies that we trust.

use actix_web::dev::Payload;
use actix_web::http::header::HeaderMap;
use actix_web::{FromRequest, HttpRequest};
use ipnet::IpNet;
use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Once;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The networks whose word about others is believed.
#[derive(Debug, Clone, Default)]
pub struct TrustedProxies(pub Vec<IpNet>);

/// A client, by its address. It is the one that connected; if that is a trusted proxy, the last
/// one in `X-Forwarded-For` that is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// Who sent the request.
    pub fn of(request: &HttpRequest) -> Self {
        // Only a socket of the file system has no address.
        let peer = request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |at| at.ip());
        match request.app_data::<TrustedProxies>() {
            Some(trusted) => Self(client(peer, request.headers(), &trusted.0)),
            None => Self(peer.to_canonical()),
        }
    }

    /// What one client certainly has for itself: an address, or a network of IPv6, of which
    /// everybody has 2⁶⁴ addresses.
    pub fn site(self) -> IpAddr {
        self.masked(32)
    }

    /// The same as bytes.
    pub fn key(self) -> [u8; 9] {
        let mut key = [0; 9];
        match self.site() {
            IpAddr::V4(address) => key[1..5].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => {
                key[0] = 6;
                key[1..].copy_from_slice(&address.octets()[..8]);
            }
        }
        key
    }

    /// The wider neighbourhood, in which people get new addresses.
    pub fn neighbourhood(self) -> IpAddr {
        self.masked(24)
    }

    fn masked(self, bits: u32) -> IpAddr {
        match self.0 {
            IpAddr::V4(address) => {
                let mask = u32::MAX << (32 - bits);
                Ipv4Addr::from_bits(address.to_bits() & mask).into()
            }
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into()
            }
        }
    }
}

impl FromRequest for Peer {
    type Error = Infallible;
    type Future = Ready<Result<Self, Infallible>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::of(request)))
    }
}

/// Walks `X-Forwarded-For` from its end, which the nearest proxy wrote, past trusted ones. What is
/// no address was not written by a proxy of ours: then only the one that connected is known.
fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|network| network.contains(address));
    if !is_trusted(&peer) {
        if headers.contains_key(FORWARDED_FOR) {
            warn_once();
        }
        return peer;
    }
    let lines: Vec<_> = headers.get_all(FORWARDED_FOR).collect();
    let mut last = peer;
    for line in lines.into_iter().rev() {
        let Ok(line) = line.to_str() else { return peer };
        for hop in line.rsplit(',') {
            let Some(hop) = address(hop.trim()) else { return peer };
            if !is_trusted(&hop) {
                return hop;
            }
            last = hop;
        }
    }
    last
}

/// An address as proxies write it: some add the port, some put brackets around IPv6.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().ok().or_else(with_port).map(|address| address.to_canonical())
}

/// Once, for anybody can send the header.
fn warn_once() {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            "somebody who is not in server.trusted_proxies sends X-Forwarded-For: it is not \
             believed; if that is your proxy, all of its clients share the limits of one address"
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use proptest::prelude::*;

    fn told(peer: &str, trusted: &[&str], lines: &[&str]) -> String {
        let request = lines
            .iter()
            .fold(TestRequest::default(), |request, line| {
                request.append_header((FORWARDED_FOR, *line))
            })
            .to_http_request();
        let trusted: Vec<IpNet> =
            trusted.iter().map(|network| network.parse().unwrap()).collect();
        client(peer.parse().unwrap(), request.headers(), &trusted).to_string()
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        for line in ["203.0.113.9", "10.0.0.1", "203.0.113.9, 10.0.0.1", "x", ""] {
            assert_eq!(told("198.51.100.7", &[], &[line]), "198.51.100.7");
            assert_eq!(told("198.51.100.7", &["10.0.0.0/8"], &[line]), "198.51.100.7");
        }
    }

    #[test]
    fn behind_trusted_proxies_it_is_the_last_who_is_not_one() {
        let told = |lines: &[&str]| told("10.0.0.1", &["10.0.0.0/8", "fd00::/8"], lines);
        assert_eq!(told(&[]), "10.0.0.1");
        assert_eq!(told(&["203.0.113.9"]), "203.0.113.9");
        // What a client wrote itself stands before what the proxy added.
        assert_eq!(told(&["1.2.3.4, 203.0.113.9"]), "203.0.113.9");
        assert_eq!(told(&["1.2.3.4", "203.0.113.9"]), "203.0.113.9");
        assert_eq!(told(&["10.9.9.9, 203.0.113.9, 10.0.0.2, fd00::1"]), "203.0.113.9");
        assert_eq!(told(&["203.0.113.9, 10.0.0.3", "10.0.0.2"]), "203.0.113.9");
        // The shop's own machines talk to each other.
        assert_eq!(told(&["10.0.0.5, 10.0.0.2"]), "10.0.0.5");
        assert_eq!(told(&["203.0.113.9:4711"]), "203.0.113.9");
        assert_eq!(told(&["[2001:db8::7]:443"]), "2001:db8::7");
        assert_eq!(told(&["[2001:db8::7]"]), "2001:db8::7");
        assert_eq!(told(&["::ffff:203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn what_is_no_address_leaves_only_the_one_that_connected() {
        for line in ["unknown", "", "203.0.113.9,", "203.0.113.9, , 10.0.0.2", "1.2.3", "a\u{e9}"]
        {
            assert_eq!(told("10.0.0.1", &["10.0.0.0/8"], &[line]), "10.0.0.1", "{line}");
        }
        assert_eq!(told("::ffff:10.0.0.1", &["10.0.0.0/8"], &["203.0.113.9"]), "203.0.113.9");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_client() {
        let peer = |text: &str| Peer(text.parse().unwrap());
        assert_eq!(peer("2001:db8::1").site(), peer("2001:db8::ffff:1").site());
        assert_ne!(peer("2001:db8::1").site(), peer("2001:db8:0:1::1").site());
        assert_ne!(peer("192.0.2.1").site(), peer("192.0.2.2").site());
        assert_eq!(peer("192.0.2.1").neighbourhood(), peer("192.0.2.2").neighbourhood());
        assert_ne!(peer("192.0.2.1").neighbourhood(), peer("192.0.3.1").neighbourhood());
    }

    proptest! {
        #[test]
        fn no_header_makes_a_client_of_a_stranger(line in "[ -~]{0,100}") {
            prop_assert_eq!(told("198.51.100.7", &["10.0.0.0/8"], &[&line]), "198.51.100.7");
        }

        #[test]
        fn a_client_cannot_choose_what_a_proxy_adds(line in "[ -~]{0,100}") {
            let line = format!("{line}, 203.0.113.9");
            prop_assert_eq!(told("10.0.0.1", &["10.0.0.0/8"], &[&line]), "203.0.113.9");
        }
    }
}
