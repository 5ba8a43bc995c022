//! Certificates that the test makes itself, servers that have them, and clients that check them.

use crate::common::server::free_port;
use crate::common::{Client, PATIENCE, Server, Value, run, text};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};
use std::io;
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

/// How often another port is tried when somebody else was faster.
const PORT_ATTEMPTS: usize = 20;

/// `ca` vouches for `server`, `next` and `client`; `other` vouches for `stranger`. Keys are on P-256, `rsa.key` is not.
const SCRIPT: &str = r#"
set -e
new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
for ca in ca other; do
    openssl req -x509 $new -keyout $ca.key -out $ca.crt -days 30 -subj /CN=$ca
done
printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' >names
sign() {
    openssl req $new -keyout $2.key -out $2.csr -subj /CN=$2
    openssl x509 -req -in $2.csr -CA $1.crt -CAkey $1.key -CAcreateserial -out $2.crt -days 30 -extfile names
}
sign ca server
sign ca next
sign ca client
sign other stranger
openssl genrsa -out rsa.key 2048
openssl req -new -key rsa.key -out rsa.csr -subj /CN=rsa
openssl x509 -req -in rsa.csr -CA ca.crt -CAkey ca.key -CAcreateserial -out rsa.crt -days 30 -extfile names
openssl pkey -in server.key -aes128 -passout pass:hush -out locked.key
echo nonsense >nonsense.crt
mkdir plain hashed
cp ca.crt plain/
cp ca.crt hashed/$(openssl x509 -hash -noout -in ca.crt).0
cp other.crt hashed/
"#;

/// A directory of certificates and keys.
pub struct Certificates(tempfile::TempDir);

impl Certificates {
    pub fn make() -> Certificates {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let script = format!("cd '{}'\n{SCRIPT}", folder.path().display());
        let done = run("sh", &["-c", &script], b"");
        assert!(done.status.success(), "{}", text(&done.stderr));
        Certificates(folder)
    }

    /// The path of a file in it.
    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_string_lossy().into_owned()
    }

    /// What every server with TLS is told.
    pub fn options(&self) -> Vec<String> {
        let pair = |name: &str, file: &str| [name.to_string(), self.path(file)];
        [
            pair("--tls-cert-file", "server.crt"),
            pair("--tls-key-file", "server.key"),
            pair("--tls-ca-cert-file", "ca.crt"),
        ]
        .concat()
    }

    /// A server with a TLS port, and further options.
    pub fn server(&self, more: &[&str]) -> Tls {
        let options = self.options();
        let mut args: Vec<&str> = options.iter().map(String::as_str).collect();
        args.extend(more);
        let server = Server::start(&args);
        let port = open(&server);
        Tls { server, port }
    }

    /// The same, with a configuration file.
    pub fn server_of(&self, file: &Path, more: &[&str]) -> Tls {
        let options = self.options();
        let mut args = vec![file.to_str().expect("a plain path")];
        args.extend(options.iter().map(String::as_str));
        args.extend(more);
        let server = Server::start(&args);
        let port = open(&server);
        Tls { server, port }
    }

    /// What a client brings: which authority it trusts, and which certificate it has.
    pub fn client(
        &self,
        own: Option<&str>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(self.path("ca.crt")).expect("a certificate"))
            .expect("an authority");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let certificate = CertificateDer::from_pem_file(self.path(&format!("{name}.crt")));
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).expect("a key");
                builder.with_client_auth_cert(vec![certificate.expect("a certificate")], key).expect("a pair")
            }
        };
        Arc::new(config)
    }

    /// A client that everybody lets in.
    pub fn friend(&self) -> Arc<ClientConfig> {
        self.client(Some("client"), rustls::ALL_VERSIONS)
    }
}

/// A server with a TLS port.
pub struct Tls {
    pub server: Server,
    pub port: u16,
}

impl Tls {
    /// A connection whose handshake is done as far as this side knows; in TLS 1.3 the server may think otherwise.
    pub fn try_client(&self, config: &Arc<ClientConfig>) -> io::Result<Client> {
        let mut socket = TcpStream::connect(("127.0.0.1", self.port))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let name = ServerName::try_from("localhost").expect("a name");
        let mut tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        Ok(Client::secured(StreamOwned::new(tls, socket)))
    }

    pub fn client(&self, config: &Arc<ClientConfig>) -> Client {
        self.try_client(config).expect("a handshake")
    }

    /// Whether a client gets an answer.
    pub fn lets_in(&self, config: &Arc<ClientConfig>) -> bool {
        self.try_client(config)
            .and_then(|mut client| client.try_cmd(&["PING"]))
            .is_ok_and(|reply| reply == pong())
    }
}

pub fn pong() -> Value {
    Value::Status("PONG".to_string())
}

/// Opens a TLS port on a running server.
fn open(server: &Server) -> u16 {
    let mut client = server.client();
    for _ in 0..PORT_ATTEMPTS {
        let port = free_port();
        let reply = client.say(&format!("CONFIG SET tls-port {port}"));
        if reply == Value::ok() {
            return port;
        }
        let taken = reply.error().is_some_and(|why| why.contains("Unable to listen on this port"));
        assert!(taken, "{reply:?}\n{}", server.log());
    }
    panic!("no free port in {PORT_ATTEMPTS} attempts");
}
