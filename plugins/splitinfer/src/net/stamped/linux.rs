// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Linux: the kernel stamps datagrams (`SO_TIMESTAMPNS`) and tells which address they were sent to (`IP_PKTINFO`).

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant, SystemTime};

use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};
use nix::sys::time::TimeSpec;

use super::Arrived;

/// A stamp cannot be older; if it seems so, somebody has set the clock meanwhile.
const OLDEST: Duration = Duration::from_secs(5);
/// Two clocks that were read within this were read together.
const TOGETHER: Duration = Duration::from_micros(20);

pub(super) fn prepare(socket: &UdpSocket) -> io::Result<()> {
    setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
    if socket.local_addr()?.is_ipv4() {
        setsockopt(socket, sockopt::Ipv4PacketInfo, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv6RecvPacketInfo, &true)?;
    }
    Ok(())
}

pub(super) fn receive(socket: &tokio::net::UdpSocket, buffer: &mut [u8]) -> io::Result<Arrived> {
    let mut control = nix::cmsg_space!(TimeSpec, libc::in_pktinfo, libc::in6_pktinfo);
    let mut parts = [IoSliceMut::new(buffer)];
    let flags = MsgFlags::MSG_DONTWAIT;
    let message =
        recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut parts, Some(&mut control), flags)?;
    let (mut at, mut to) = (Instant::now(), None);
    for part in message.cmsgs()? {
        match part {
            ControlMessageOwned::ScmTimestampns(stamp) => at = instant(stamp),
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                to = Some(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr)).into());
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                to = Some(Ipv6Addr::from(info.ipi6_addr.s6_addr).into());
            }
            _ => {}
        }
    }
    let from = message.address.as_ref().and_then(address);
    let from = from.ok_or_else(|| io::Error::other("a datagram without a sender"))?;
    Ok(Arrived {
        bytes: message.bytes,
        from,
        at,
        to,
    })
}

pub(super) fn reply(socket: &UdpSocket, datagram: &[u8], arrived: &Arrived) -> io::Result<()> {
    let (v4, v6);
    let control = match arrived.to {
        Some(IpAddr::V4(from)) => {
            v4 = libc::in_pktinfo {
                ipi_ifindex: 0,
                ipi_spec_dst: libc::in_addr {
                    s_addr: u32::from(from).to_be(),
                },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            Some(ControlMessage::Ipv4PacketInfo(&v4))
        }
        Some(IpAddr::V6(from)) => {
            v6 = libc::in6_pktinfo {
                ipi6_ifindex: 0,
                ipi6_addr: libc::in6_addr {
                    s6_addr: from.octets(),
                },
            };
            Some(ControlMessage::Ipv6PacketInfo(&v6))
        }
        None => None,
    };
    let to = SockaddrStorage::from(arrived.from);
    let parts = [IoSlice::new(datagram)];
    let flags = MsgFlags::MSG_DONTWAIT;
    sendmsg(
        socket.as_raw_fd(),
        &parts,
        control.as_slice(),
        flags,
        Some(&to),
    )?;
    Ok(())
}

/// Of the system's clock, on the clock of `Instant`.
fn instant(stamp: TimeSpec) -> Instant {
    let stamp = SystemTime::UNIX_EPOCH + Duration::from(stamp);
    let (now, system) = both_clocks();
    let age = system.duration_since(stamp).unwrap_or_default();
    let age = if age < OLDEST { age } else { Duration::ZERO };
    now.checked_sub(age).unwrap_or(now)
}

/// At one moment: again if the thread had to wait between the two.
fn both_clocks() -> (Instant, SystemTime) {
    let mut both = (Instant::now(), SystemTime::now());
    for _ in 0..3 {
        if both.0.elapsed() < TOGETHER {
            break;
        }
        both = (Instant::now(), SystemTime::now());
    }
    both
}

fn address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = storage.as_sockaddr_in().map(|a| {
        let address = std::net::SocketAddrV4::from(*a);
        SocketAddr::V4(address)
    });
    let v6 = || {
        storage
            .as_sockaddr_in6()
            .map(|a| SocketAddr::V6((*a).into()))
    };
    v4.or_else(v6)
}
