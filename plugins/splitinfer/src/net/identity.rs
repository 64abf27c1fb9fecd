// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! A certificate with its private key, and the fingerprint by which the other side can pin it.
//!
//! A server that was given no certificate makes a self-signed one once and keeps it in the user's data folder, so
//! that its fingerprint stays the same from start to start.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest, Sha256};

/// SHA-256 of a certificate's DER encoding, as `openssl x509 -fingerprint -sha256` prints it.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint(pub [u8; 32]);

impl Fingerprint {
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        Self(Sha256::digest(certificate).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(":")?;
            }
            write!(f, "{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = IdentityError;

    /// 64 hexadecimal digits; colons and spaces between them are ignored, as is a `SHA256:` in front.
    fn from_str(text: &str) -> Result<Self, IdentityError> {
        let bad = || IdentityError::Fingerprint(text.to_owned());
        let digits = text.trim();
        let digits = match digits.get(..7) {
            Some(prefix) if prefix.eq_ignore_ascii_case("sha256:") => &digits[7..],
            _ => digits,
        };
        let digits: Vec<u8> = digits
            .chars()
            .filter(|c| *c != ':' && !c.is_whitespace())
            .map(|c| c.to_digit(16).map(|d| d as u8).ok_or_else(bad))
            .collect::<Result<_, _>>()?;
        let mut bytes = [0; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(bad());
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Self(bytes))
    }
}

/// Why a certificate, a key or a fingerprint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} holds no {what} in PEM form: {reason}", path.display())]
    Pem {
        path: PathBuf,
        what: &'static str,
        reason: String,
    },
    #[error("certificate {} does not go with its private key {}: {reason}", certificate.display(), key.display())]
    Mismatch {
        certificate: PathBuf,
        key: PathBuf,
        reason: String,
    },
    #[error("a certificate needs its private key: set both certificate-file and private-key-file")]
    Half,
    #[error("cannot make a self-signed certificate: {0}")]
    Make(#[from] rcgen::Error),
    #[error(
        "'{0}' is not a SHA-256 fingerprint: give the 64 hexadecimal digits the server prints at its start, with or without colons"
    )]
    Fingerprint(String),
}

/// What one side shows to the other in the handshake.
#[derive(Debug)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    /// Of the first certificate of the chain.
    pub fingerprint: Fingerprint,
    /// Where it was read from or is kept; `None` if it could not be kept and lasts for this run only.
    pub kept_in: Option<PathBuf>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self {
            chain: self.chain.clone(),
            key: self.key.clone_key(),
            fingerprint: self.fingerprint,
            kept_in: self.kept_in.clone(),
        }
    }
}

impl Identity {
    /// From the two files a user names, or, when neither is named, the kept self-signed one.
    ///
    /// # Errors
    /// When only one of the two is named, or what they name cannot be used.
    pub fn choose(certificate: Option<&Path>, key: Option<&Path>) -> Result<Self, IdentityError> {
        match (certificate, key) {
            (Some(certificate), Some(key)) => Self::load(certificate, key),
            (None, None) => Self::kept(data_folder().as_deref()),
            _ => Err(IdentityError::Half),
        }
    }

    /// A PEM certificate chain, leaf first, and its PEM private key (PKCS#8, PKCS#1 or SEC1).
    ///
    /// # Errors
    /// When a file cannot be read, is not PEM, or the two do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, IdentityError> {
        let chain = read_certificates(certificate)?;
        let bytes = read(key)?;
        let private = PrivateKeyDer::from_pem_slice(&bytes).map_err(|e| IdentityError::Pem {
            path: key.to_owned(),
            what: "private key",
            reason: e.to_string(),
        })?;
        let mismatch = |e: rustls::Error| IdentityError::Mismatch {
            certificate: certificate.to_owned(),
            key: key.to_owned(),
            reason: e.to_string(),
        };
        let provider = rustls::crypto::ring::default_provider();
        rustls::sign::CertifiedKey::from_der(chain.clone(), private.clone_key(), &provider)
            .map_err(mismatch)?;
        Ok(Self {
            fingerprint: Fingerprint::of(&chain[0]),
            chain,
            key: private,
            kept_in: Some(certificate.to_owned()),
        })
    }

    /// The self-signed certificate kept in `folder`, made now if there is none yet. Where nothing can be kept it
    /// lasts for this run only, which [`Identity::kept_in`] tells.
    ///
    /// # Errors
    /// When what is kept cannot be read (it is not replaced silently: edges may have pinned it).
    pub fn kept(folder: Option<&Path>) -> Result<Self, IdentityError> {
        let Some(folder) = folder else {
            return self_signed().map(|(identity, _)| identity);
        };
        let path = folder.join("server.pem");
        if !path.exists() {
            let (identity, pem) = self_signed()?;
            if keep(&path, &pem).is_err() && !path.exists() {
                return Ok(identity);
            }
        }
        Self::load(&path, &path)
    }
}

/// Every certificate of a PEM file, in its order.
///
/// # Errors
/// When it cannot be read or holds none.
pub fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let pem = |reason: String| IdentityError::Pem {
        path: path.to_owned(),
        what: "certificate",
        reason,
    };
    let chain = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| pem(e.to_string()))?;
    if chain.is_empty() {
        return Err(pem("no BEGIN CERTIFICATE line".to_owned()));
    }
    Ok(chain)
}

fn read(path: &Path) -> Result<Vec<u8>, IdentityError> {
    fs::read(path).map_err(|source| IdentityError::Read {
        path: path.to_owned(),
        source,
    })
}

/// `$XDG_DATA_HOME/splitinfer`, or `~/.local/share/splitinfer`; `None` for a user without a home.
fn data_folder() -> Option<PathBuf> {
    let absolute = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|p| p.is_absolute())
    };
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|base| base.join("splitinfer"))
}

fn self_signed() -> Result<(Identity, String), IdentityError> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".into(), "::1".into()];
    names.extend(
        Some(gst::glib::host_name().to_string())
            .filter(|n| n != "localhost" && !n.is_empty() && n.is_ascii()),
    );
    let made = rcgen::generate_simple_self_signed(names)?;
    let chain = vec![made.cert.der().clone()];
    let pem = made.cert.pem() + &made.signing_key.serialize_pem();
    let identity = Identity {
        fingerprint: Fingerprint::of(&chain[0]),
        chain,
        key: PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into()),
        kept_in: None,
    };
    Ok((identity, pem))
}

/// Puts certificate and key into one file that appears whole or not at all: of two servers started at once, one makes
/// it and both use it.
fn keep(path: &Path, pem: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let draft = folder.join(format!(".server.pem.{}", std::process::id()));
    let write = || {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&draft)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()?;
        // Unlike a rename, a link does not replace what another server has put there meanwhile.
        fs::hard_link(&draft, path)
    };
    let result = write();
    let _ = fs::remove_file(&draft);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_reads_back_with_and_without_colons() {
        let f = Fingerprint(std::array::from_fn(|i| (i * 7) as u8));
        let text = f.to_string();
        assert_eq!(text.parse::<Fingerprint>().unwrap(), f);
        let plain = text.replace(':', "").to_lowercase();
        assert_eq!(plain.parse::<Fingerprint>().unwrap(), f);
        assert_eq!(format!("SHA256:{plain}").parse::<Fingerprint>().unwrap(), f);
        for bad in [
            "",
            "12",
            "zz",
            &plain[2..],
            &format!("{plain}00"),
            "sha256é",
        ] {
            let e = bad.parse::<Fingerprint>().unwrap_err().to_string();
            assert!(e.contains("64 hexadecimal digits"), "{e}");
        }
    }

    #[test]
    fn the_self_signed_certificate_is_made_once_and_kept_private() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("splitinfer");
        let first = Identity::kept(Some(&inner)).unwrap();
        let again = Identity::kept(Some(&inner)).unwrap();
        assert_eq!(first.fingerprint, again.fingerprint);
        assert_eq!(fs::read_dir(&inner).unwrap().count(), 1, "no draft is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(inner.join("server.pem"))
                .unwrap()
                .permissions();
            assert_eq!(mode.mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn without_a_folder_the_certificate_lasts_for_the_run() {
        assert_eq!(Identity::kept(None).unwrap().kept_in, None);
        let file = tempfile::NamedTempFile::new().unwrap();
        let impossible = file.path().join("below-a-file");
        assert_eq!(Identity::kept(Some(&impossible)).unwrap().kept_in, None);
    }

    #[test]
    fn a_damaged_kept_certificate_is_reported_and_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.pem");
        fs::write(&path, "rubbish").unwrap();
        let e = Identity::kept(Some(folder.path())).unwrap_err().to_string();
        assert!(e.contains("server.pem") && e.contains("certificate"), "{e}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "rubbish");
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| {
            let inner = folder.path().join(name);
            Identity::kept(Some(&inner)).unwrap();
            inner.join("server.pem")
        });
        assert!(Identity::load(&a, &a).is_ok());
        let e = Identity::load(&a, &b).unwrap_err();
        assert!(matches!(e, IdentityError::Mismatch { .. }), "{e}");
        assert!(matches!(
            Identity::choose(Some(&a), None),
            Err(IdentityError::Half)
        ));
    }
}
