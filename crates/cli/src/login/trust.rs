//! Whom to take for the hub: a certificate authority from a file, or one that is only known by its pin.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use berth_identity::{CaPin, tls};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::exit::{Exit, Failure};

const PATIENCE: Duration = Duration::from_secs(15);

pub(super) fn from_file(path: &PathBuf) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| {
        Failure::new(
            Exit::Failure,
            format!("read --ca-file {}: {error}", path.display()),
        )
    })
}

/// The authority with that pin, which the hub at `server` shows and whose certificate it has.
pub(super) async fn from_pin(server: &str, pin: &str) -> Result<String, Failure> {
    let pin: CaPin = pin
        .parse()
        .map_err(|error: berth_identity::pin::InvalidPin| Failure::usage(error.to_string()))?;
    let (host, port) = host_and_port(server)?;
    let away =
        |problem: String| Failure::new(Exit::Unavailable, format!("reach the hub at {server}: {problem}"));
    let config = tls::joining_client(pin).map_err(|error| away(error.to_string()))?;
    let name = ServerName::try_from(host.clone())
        .map_err(|_| Failure::usage(format!("{host:?} in --server is no name of a host")))?;
    let shaking = async {
        let stream = TcpStream::connect((host.as_str(), port)).await?;
        tokio_rustls::TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await
    };
    let stream = match tokio::time::timeout(PATIENCE, shaking).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let inner = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<rustls::Error>());
            if inner.is_some_and(tls::is_pin_mismatch) {
                return Err(Failure::new(
                    Exit::Failure,
                    format!(
                        "whoever answers at {server} is not the hub with the pin {pin}: somebody is in between, or the pin is of another hub; ask whoever runs the hub for it"
                    ),
                ));
            }
            return Err(away(error.to_string()));
        }
        Err(_) => return Err(away("no answer".into())),
    };
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    shown
        .iter()
        .find(|certificate| CaPin::of_der(certificate).is_ok_and(|found| found == pin))
        .map(|certificate| pem(certificate))
        .ok_or_else(|| away("it does not show its authority".into()))
}

fn host_and_port(server: &str) -> Result<(String, u16), Failure> {
    let wrong = || {
        Failure::usage(format!(
            "--server {server:?} is not of the form https://HOST:PORT"
        ))
    };
    let uri: tonic::transport::Uri = server.parse().map_err(|_| wrong())?;
    let host = uri.host().ok_or_else(wrong)?;
    Ok((
        host.trim_matches(['[', ']']).to_owned(),
        uri.port_u16().unwrap_or(443),
    ))
}

fn pem(der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .filter_map(|line| std::str::from_utf8(line).ok())
        .collect();
    format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        lines.join("\n")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_with_or_without_a_port() {
        for (server, expected) in [
            ("https://berth.example.com", ("berth.example.com", 443)),
            ("https://127.0.0.1:7443", ("127.0.0.1", 7443)),
            ("https://[::1]:7443", ("::1", 7443)),
        ] {
            let (host, port) = host_and_port(server).unwrap();
            assert_eq!((host.as_str(), port), expected);
        }
        assert!(host_and_port("/x").is_err());
    }
}
