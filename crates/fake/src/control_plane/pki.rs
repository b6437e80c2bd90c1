//! The certificates of one control plane: an authority, the API's serving certificate, one client certificate for each
//! user, and the key that signs service account tokens. Made once, then read back.

use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, KeyUsagePurpose, date_time_ymd,
};

use super::Error;
use super::home::write_private;

/// Every client is told apart by its common name, in audit logs and managed fields, and may do everything.
const GROUP: &str = "system:masters";

/// The names under which the API is reached, by loopback and by what runs inside the cluster.
const SERVING_NAMES: [&str; 6] = [
    "127.0.0.1",
    "localhost",
    "10.96.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
];

/// Who has a client certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum User {
    Admin,
    ControllerManager,
    Scheduler,
    Kwok,
}

impl User {
    const ALL: [Self; 4] = [Self::Admin, Self::ControllerManager, Self::Scheduler, Self::Kwok];

    fn common_name(self) -> &'static str {
        match self {
            Self::Admin => "kubernetes-admin",
            Self::ControllerManager => "system:kube-controller-manager",
            Self::Scheduler => "system:kube-scheduler",
            Self::Kwok => "kwok",
        }
    }

    fn file_name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::ControllerManager => "controller-manager",
            Self::Scheduler => "scheduler",
            Self::Kwok => "kwok",
        }
    }
}

/// The directory with the certificates.
#[derive(Debug)]
pub(super) struct Pki {
    directory: PathBuf,
}

impl Pki {
    /// Takes the certificates in `directory`, or makes them.
    pub(super) fn load_or_create(directory: &Path) -> Result<Self, Error> {
        let pki = Self {
            directory: directory.to_owned(),
        };
        // Written last: where it is, the others are.
        if !pki.ca().exists() {
            pki.create()?;
        }
        Ok(pki)
    }

    pub(super) fn ca(&self) -> PathBuf {
        self.directory.join("ca.crt")
    }

    pub(super) fn serving_certificate(&self) -> PathBuf {
        self.directory.join("apiserver.crt")
    }

    pub(super) fn serving_key(&self) -> PathBuf {
        self.directory.join("apiserver.key")
    }

    /// Verifies service account tokens.
    pub(super) fn accounts_public(&self) -> PathBuf {
        self.directory.join("accounts.pub")
    }

    /// Signs service account tokens.
    pub(super) fn accounts_key(&self) -> PathBuf {
        self.directory.join("accounts.key")
    }

    /// The authority's certificate as PEM.
    pub(super) fn ca_pem(&self) -> Result<String, Error> {
        read(&self.ca())
    }

    /// Certificate and key of a client as PEM.
    pub(super) fn client(&self, user: User) -> Result<(String, String), Error> {
        let file = |extension: &str| self.directory.join(format!("{}.{extension}", user.file_name()));
        Ok((read(&file("crt"))?, read(&file("key"))?))
    }

    fn create(&self) -> Result<(), Error> {
        let mut authority = parameters("berth-control-plane")?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;

        let mut serving = parameters("kube-apiserver")?;
        serving.subject_alt_names =
            CertificateParams::new(SERVING_NAMES.map(str::to_owned).to_vec())?.subject_alt_names;
        serving.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue("apiserver", serving, &authority)?;

        for user in User::ALL {
            let mut client = parameters(user.common_name())?;
            client.distinguished_name.push(DnType::OrganizationName, GROUP);
            client.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            self.issue(user.file_name(), client, &authority)?;
        }

        let accounts = KeyPair::generate()?;
        write_private(&self.accounts_key(), &accounts.serialize_pem())?;
        write_private(&self.accounts_public(), &accounts.public_key_pem())?;
        write_private(&self.ca(), &authority.pem())
    }

    fn issue(
        &self,
        name: &str,
        mut parameters: CertificateParams,
        authority: &CertifiedIssuer<'_, KeyPair>,
    ) -> Result<(), Error> {
        let key = KeyPair::generate()?;
        parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        parameters.use_authority_key_identifier_extension = true;
        let certificate = parameters.signed_by(&key, authority)?;
        write_private(&self.directory.join(format!("{name}.key")), &key.serialize_pem())?;
        write_private(&self.directory.join(format!("{name}.crt")), &certificate.pem())
    }
}

/// Certificates for one machine's loopback: their protection is the file mode, not an expiry that surprises someone.
fn parameters(common_name: &str) -> Result<CertificateParams, Error> {
    let mut parameters = CertificateParams::default();
    parameters.not_before = date_time_ymd(2020, 1, 1);
    parameters.not_after = date_time_ymd(2100, 1, 1);
    parameters.distinguished_name = DistinguishedName::new();
    parameters
        .distinguished_name
        .push(DnType::CommonName, common_name);
    Ok(parameters)
}

fn read(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::files("read", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_made_once_and_read_back() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let first = Pki::load_or_create(directory.path()).expect("made");
        let (ca, admin) = (
            first.ca_pem().expect("an authority"),
            first.client(User::Admin).expect("an admin"),
        );
        let second = Pki::load_or_create(directory.path()).expect("read");
        assert_eq!(second.ca_pem().expect("an authority"), ca);
        assert_eq!(second.client(User::Admin).expect("an admin"), admin);
    }

    #[test]
    fn certificates_that_were_left_half_made_are_made_again() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let pki = Pki::load_or_create(directory.path()).expect("made");
        let before = pki.client(User::Kwok).expect("a client");
        std::fs::remove_file(pki.ca()).expect("removed");
        let after = Pki::load_or_create(directory.path())
            .expect("made")
            .client(User::Kwok)
            .expect("a client");
        assert_ne!(before, after);
    }
}
