//! What must hold of the admin socket for any bytes.

/// See the name of the target.
pub fn line(data: &[u8]) {
    crate::control::check_admin_conversation(data);
}
