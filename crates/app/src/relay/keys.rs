//! Keys of relays and collectors, as users give them: Z85, hexadecimal digits, or a file with one of these.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use flowsonde_sys::zmq::{PublicKey, SecretKey, keypair};

use crate::stop::Stop;

/// The 32 bytes of 40 characters of Z85 or 64 hexadecimal digits.
fn public_of(text: &str) -> Option<PublicKey> {
    bytes_of(text).map(PublicKey::from_bytes).or_else(|| PublicKey::from_z85(text))
}

fn secret_of(text: &str) -> Option<SecretKey> {
    bytes_of(text).map(SecretKey::from_bytes).or_else(|| SecretKey::from_z85(text))
}

fn bytes_of(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

/// Lines of a file that say something.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// How files of secret keys begin.
const SECRET: &str = "# secret key";

const REMEDY: &str = "give 40 characters of Z85, 64 hexadecimal digits, or a file with one of these";

/// A public key, or the file it is in.
pub fn public(text: &str) -> Result<PublicKey, Stop> {
    if let Some(key) = public_of(text) {
        return Ok(key);
    }
    // What cannot be a file is a key with a mistake in it.
    let content = fs::read_to_string(text)
        .map_err(|error| Stop::Usage(format!("neither a key nor a file ({error}); {REMEDY}")))?;
    // Both look the same, and whom a secret one would let in nobody could tell.
    if content.starts_with(SECRET) {
        return Err(Stop::Usage("a secret key; give the public one, from the file beside it that ends in .pub".into()));
    }
    let key = lines(&content).next().and_then(public_of);
    key.ok_or_else(|| Stop::Usage(format!("no public key in it; {REMEDY}")))
}

/// Public keys, one a line of a file; behind each may be a remark.
pub fn authorised(flag: &str, path: &Path) -> Result<Vec<PublicKey>, Stop> {
    let shown = path.display();
    let content = fs::read_to_string(path)
        .map_err(|error| Stop::Usage(format!("{flag} {shown}: {error}; give a file with a public key a line")))?;
    let of = |line: &str| {
        let key = line.split_whitespace().next().unwrap_or("");
        public_of(key).ok_or_else(|| {
            Stop::Usage(format!(
                "{flag} {shown}: '{key}' is no public key; give 40 characters of Z85 or 64 hexadecimal digits a line"
            ))
        })
    };
    lines(&content).map(of).collect()
}

/// The secret key in a file that nobody else can read.
pub fn secret(flag: &str, path: &Path) -> Result<SecretKey, Stop> {
    let shown = path.display();
    let found = fs::metadata(path)
        .map_err(|error| Stop::Usage(format!("{flag} {shown}: {error}; flowrelay keygen makes one")))?;
    let credentials = std::env::var_os("CREDENTIALS_DIRECTORY");
    if is_open(found.mode(), path, credentials.as_deref().map(Path::new)) {
        return Err(Stop::Usage(format!(
            "{flag} {shown}: others can read or change it (mode {:o}); make it its owner's only, by chmod 600, or make a new one",
            found.mode() & 0o777
        )));
    }
    let content = fs::read_to_string(path).map_err(|error| Stop::Usage(format!("{flag} {shown}: {error}")))?;
    let key = lines(&content).next().and_then(secret_of);
    key.ok_or_else(|| Stop::Usage(format!("{flag} {shown}: no secret key in it; flowrelay keygen makes one")))
}

/// Whether others than its owner can read or change it. What systemd hands to a service (`LoadCredential=`) is that one's
/// alone, but its right may be an entry of an access control list, of which the mode shows the mask as the group's bits.
fn is_open(mode: u32, path: &Path, credentials: Option<&Path>) -> bool {
    let handed = credentials.is_some_and(|directory| path.parent() == Some(directory));
    mode & if handed { 0o037 } else { 0o077 } != 0
}

/// Makes a pair: the secret key in `path`, for its owner only, and the public key beside it as `path`.pub. Tells the public
/// key. What is there is not overwritten.
pub fn generate(path: &Path) -> Result<PublicKey, Stop> {
    let failed = |path: &Path, error: std::io::Error| {
        let remedy = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "name another file, or move that one away",
            _ => "name a file in a directory that exists and may be written to",
        };
        Stop::Failed(format!("keygen {}: {error}; {remedy}", path.display()))
    };
    let (public, secret) = keypair().map_err(|error| Stop::Failed(format!("keygen: {error}")))?;
    let beside = {
        let mut name = path.as_os_str().to_owned();
        name.push(".pub");
        std::path::PathBuf::from(name)
    };
    if beside.exists() {
        return Err(failed(&beside, std::io::ErrorKind::AlreadyExists.into()));
    }
    let write = |path: &Path, mode: u32, text: String| {
        let file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
        file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| failed(path, error))
    };
    write(path, 0o600, format!("{SECRET} of flowrelay or a collector, CURVE; for nobody else\n{}\n", secret.to_z85()))?;
    write(&beside, 0o644, format!("{}\n", public.to_z85()))?;
    Ok(public)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn files_of_others_are_refused() {
        let (key, place) =
            (Path::new("/run/credentials/flowrelay.service/key"), Path::new("/run/credentials/flowrelay.service"));
        for (mode, credentials, open) in [
            (0o600, None, false),
            (0o400, None, false),
            (0o440, None, true),
            (0o604, None, true),
            (0o440, Some(place), false),
            (0o460, Some(place), true),
            (0o444, Some(place), true),
            (0o440, Some(Path::new("/run/credentials")), true),
        ] {
            assert_eq!(is_open(mode | 0o100_000, key, credentials), open, "{mode:o} {credentials:?}");
        }
    }

    #[test]
    fn keys_are_made_read_and_kept_from_others() {
        let folder = std::env::temp_dir().join(format!("flowsonde-keys-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let path = folder.join("relay.key");
        let made = generate(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let read = secret("-k", &path).unwrap();
        assert!(read.public().unwrap() == made);
        let file = folder.join("relay.key.pub");
        let hex: String = made.bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        for text in [made.to_z85(), hex.clone(), file.to_str().unwrap().to_owned()] {
            assert!(public(&text).unwrap() == made);
        }
        let refused = public(path.to_str().unwrap()).unwrap_err().to_string();
        assert!(refused.contains("a secret key; give the public one"), "{refused}");
        assert!(generate(&path).unwrap_err().to_string().contains("move that one away"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = secret("--secret-key", &path).unwrap_err().to_string();
        assert!(
            refused.contains("--secret-key") && refused.contains("mode 640") && refused.contains("chmod 600"),
            "{refused}"
        );
        assert!(public("nonsense").unwrap_err().to_string().contains("neither a key nor a file"));
        let many = folder.join("authorised");
        fs::write(&many, format!("# who may come\n{} inside 1\n\n{hex}\n", made.to_z85())).unwrap();
        assert!(authorised("--authorised-keys", &many).unwrap() == [made, made]);
        fs::write(&many, "x\n").unwrap();
        assert!(authorised("--authorised-keys", &many).unwrap_err().to_string().contains("'x' is no public key"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
