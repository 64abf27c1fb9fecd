// This Source Code Form is subject to the terms of the Mozilla Public License, v. 2.0.
// If a copy of the MPL was not distributed with this file, You can obtain one at
// <https://mozilla.org/MPL/2.0/>.
//
// SPDX-License-Identifier: MPL-2.0

//! Whom the two sides trust: TLS 1.3 only, the server known by a CA or by its fingerprint, anything on loopback.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::identity::{Fingerprint, Identity, IdentityError, read_certificates};

/// Why a TLS configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("{} cannot serve as a list of certificate authorities: {reason}", path.display())]
    Authorities { path: PathBuf, reason: String },
    #[error("the TLS configuration is not possible: {0}")]
    Tls(#[from] rustls::Error),
    #[error("the TLS configuration lacks a cipher that QUIC needs: {0}")]
    Quic(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
}

/// What the user of an edge said about the server's identity, and how the edge shows its own.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// PEM file with the certificate authorities (or the server's own self-signed certificate).
    pub ca_file: Option<PathBuf>,
    /// SHA-256 of the server's certificate.
    pub fingerprint: Option<String>,
    /// Secret the server asks for, sent inside the encrypted connection only.
    pub token: Option<String>,
    /// Certificate and key the edge shows to a server that has `client-ca-file` set. Both or neither.
    pub certificate_file: Option<PathBuf>,
    pub private_key_file: Option<PathBuf>,
}

impl Trust {
    /// Reads the files and checks what they hold.
    ///
    /// # Errors
    /// With a text that names the property or file at fault.
    pub fn prepare(&self) -> Result<Verified, TrustError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let authorities = match &self.ca_file {
            None => None,
            Some(path) => Some(
                WebPkiServerVerifier::builder_with_provider(roots(path)?, provider.clone())
                    .build()
                    .map_err(|e| TrustError::Authorities {
                        path: path.clone(),
                        reason: e.to_string(),
                    })?,
            ),
        };
        let fingerprint = self.fingerprint.as_deref().map(str::parse).transpose()?;
        let own = match (&self.certificate_file, &self.private_key_file) {
            (None, None) => None,
            (Some(certificate), Some(key)) => Some(Identity::load(certificate, key)?),
            _ => return Err(IdentityError::Half.into()),
        };
        Ok(Verified {
            provider,
            authorities,
            fingerprint,
            own,
        })
    }
}

/// A [`Trust`] whose files were read: makes the TLS configuration for one connection.
#[derive(Clone)]
pub struct Verified {
    provider: Arc<CryptoProvider>,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    fingerprint: Option<Fingerprint>,
    own: Option<Identity>,
}

impl Verified {
    /// Whether a server at this address may be talked to at all, before a packet is sent.
    ///
    /// # Errors
    /// For an address beyond loopback when neither a CA nor a fingerprint is known; the text says what to set.
    pub fn allows(&self, address: IpAddr) -> Result<(), String> {
        let known = self.authorities.is_some() || self.fingerprint.is_some();
        if known || address.to_canonical().is_loopback() {
            return Ok(());
        }
        Err(format!(
            "the server at {address} is not on this machine, so it must prove who it is: set server-fingerprint to \
             what the server prints at its start, or ca-file to the authority that signed its certificate"
        ))
    }

    /// The QUIC client configuration, and the place where a refused certificate leaves its reason.
    ///
    /// # Errors
    /// When the edge's own certificate cannot be used.
    pub fn client_config(
        &self,
        transport: Arc<quinn::TransportConfig>,
    ) -> Result<(quinn::ClientConfig, Complaint), TrustError> {
        let complaint = Complaint::default();
        let verifier = Verifier {
            algorithms: self.provider.signature_verification_algorithms,
            authorities: self.authorities.clone(),
            fingerprint: self.fingerprint,
            complaint: complaint.clone(),
        };
        let builder = rustls::ClientConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut tls = match &self.own {
            None => builder.with_no_client_auth(),
            Some(own) => builder.with_client_auth_cert(own.chain.clone(), own.key.clone_key())?,
        };
        tls.alpn_protocols = vec![splitinfer_wire::ALPN.to_vec()];
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?));
        config.transport_config(transport);
        Ok((config, complaint))
    }
}

/// Where the verifier leaves, in words, why it refused a certificate: the TLS alert itself says too little.
#[derive(Clone, Debug, Default)]
pub struct Complaint(Arc<Mutex<Option<String>>>);

impl Complaint {
    pub fn take(&self) -> Option<String> {
        self.0.lock().unwrap().take()
    }

    fn put(&self, text: String) {
        *self.0.lock().unwrap() = Some(text);
    }
}

/// Checks the certificate against fingerprint and authorities as far as they are set (neither is set only on
/// loopback, see [`Verified::allows`]), and always that the peer holds the certificate's private key.
#[derive(Debug)]
struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    authorities: Option<Arc<WebPkiServerVerifier>>,
    fingerprint: Option<Fingerprint>,
    complaint: Complaint,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let shown = Fingerprint::of(certificate);
        if let Some(pinned) = self.fingerprint
            && pinned != shown
        {
            self.complaint.put(format!(
                "its certificate has the fingerprint {shown}, but server-fingerprint is {pinned}; if the server's \
                 certificate was changed on purpose, set server-fingerprint to the new one"
            ));
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        if let Some(authorities) = &self.authorities {
            authorities
                .verify_server_cert(
                    certificate,
                    intermediates,
                    server_name,
                    ocsp_response,
                    now,
                )
                .inspect_err(|e| {
                    self.complaint.put(format!(
                        "its certificate is not accepted by ca-file: {e}; use the authority that signed it, or set \
                         server-fingerprint={shown} if that is the server you mean"
                    ));
                })?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The QUIC server configuration: shows `identity`, and with `client_ca` asks every edge for a certificate signed by
/// one of those authorities.
///
/// # Errors
/// When the files cannot be read or used.
pub fn server_config(
    identity: &Identity,
    client_ca: Option<&Path>,
    transport: Arc<quinn::TransportConfig>,
) -> Result<quinn::ServerConfig, TrustError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?;
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => builder.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(roots(path)?, provider)
                .build()
                .map_err(|e| TrustError::Authorities {
                    path: path.to_owned(),
                    reason: e.to_string(),
                })?,
        ),
    };
    let mut tls = builder.with_single_cert(identity.chain.clone(), identity.key.clone_key())?;
    tls.alpn_protocols = vec![splitinfer_wire::ALPN.to_vec()];
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls)?));
    config.transport_config(transport);
    Ok(config)
}

fn roots(path: &Path) -> Result<Arc<RootCertStore>, TrustError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(path)? {
        roots
            .add(certificate)
            .map_err(|e| TrustError::Authorities {
                path: path.to_owned(),
                reason: e.to_string(),
            })?;
    }
    Ok(Arc::new(roots))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beyond_loopback_the_server_must_be_known_before_a_packet_is_sent() {
        let nothing = Trust::default().prepare().unwrap();
        for local in ["127.0.0.1", "127.8.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(nothing.allows(local.parse().unwrap()).is_ok(), "{local}");
        }
        for far in ["192.0.2.7", "2001:db8::1", "::ffff:192.0.2.7", "0.0.0.0"] {
            let e = nothing.allows(far.parse().unwrap()).unwrap_err();
            assert!(e.contains("server-fingerprint") && e.contains("ca-file"));
        }
        let pinned = Trust {
            fingerprint: Some("00".repeat(32)),
            ..Trust::default()
        };
        let far = "192.0.2.7".parse().unwrap();
        assert!(pinned.prepare().unwrap().allows(far).is_ok());
    }

    #[test]
    fn what_the_user_got_wrong_is_named() {
        let error = |trust: Trust| trust.prepare().err().unwrap().to_string();
        let e = error(Trust {
            fingerprint: Some("nonsense".into()),
            ..Trust::default()
        });
        assert!(e.contains("nonsense"), "{e}");
        let e = error(Trust {
            ca_file: Some("/does/not/exist.pem".into()),
            ..Trust::default()
        });
        assert!(e.contains("/does/not/exist.pem"), "{e}");
        let e = error(Trust {
            certificate_file: Some("/c.pem".into()),
            ..Trust::default()
        });
        assert!(e.contains("private-key-file"), "{e}");
    }
}
