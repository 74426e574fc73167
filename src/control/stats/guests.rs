//! How many connections each address has to the pages: nobody may take all of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;

/// Those who are there, by address.
#[derive(Debug, Default)]
pub(super) struct Guests(RefCell<HashMap<IpAddr, usize>>);

/// A connection that is counted as long as this lives.
#[derive(Debug)]
pub(super) struct Guest {
    all: Rc<Guests>,
    of: IpAddr,
}

/// Connections of one address. Fewer than a listener takes and than may look live, so
/// that one who holds what it can get leaves room for others; more than the six of a
/// browser, since an office comes from one address.
const OF_ONE_MAX: usize = 24;

impl Guests {
    /// Counts a connection; `None` = its address has as many as it may.
    pub(super) fn admit(self: &Rc<Self>, from: IpAddr) -> Option<Guest> {
        let of = whose(from);
        let mut all = self.0.borrow_mut();
        let count = all.entry(of).or_default();
        if *count == OF_ONE_MAX {
            return None;
        }
        *count += 1;
        Some(Guest {
            all: Rc::clone(self),
            of,
        })
    }

    /// Whether nobody is there.
    pub(super) fn is_empty(&self) -> bool {
        self.0.borrow().is_empty()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut all = self.all.0.borrow_mut();
        if let Some(count) = all.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.of);
            }
        }
    }
}

/// A host of IPv6 has a whole network of addresses (RFC 4291 2.5.4).
fn whose(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_cannot_take_all_and_gives_back_what_it_had() {
        let guests = Rc::new(Guests::default());
        let one = IpAddr::from([192, 0, 2, 1]);
        let mut there: Vec<_> = (0..OF_ONE_MAX).map(|_| guests.admit(one)).collect();
        assert!(there.iter().all(Option::is_some));
        assert!(guests.admit(one).is_none());
        assert!(guests.admit([192, 0, 2, 2].into()).is_some());
        there.pop();
        there.push(guests.admit(one));
        assert!(there.iter().all(Option::is_some));
        drop(there);
        assert!(guests.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_host() {
        let guests = Rc::new(Guests::default());
        let address = |host: u16| Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, host).into();
        let there: Vec<_> = (0..OF_ONE_MAX as u16)
            .map(|host| guests.admit(address(host)))
            .collect();
        assert!(guests.admit(address(999)).is_none());
        drop(there);
    }
}
