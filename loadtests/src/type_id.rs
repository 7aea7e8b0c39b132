//! TypeIDs: `ord_01h455vb4pex5vsknk084sn02q` is a prefix and a UUID in Crockford's base32.

use uuid::Uuid;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// The UUID of an id with this prefix; `None` if it is not one, in its one canonical form.
pub fn decode(prefix: &str, id: &str) -> Option<Uuid> {
    let digits = id.strip_prefix(prefix)?.strip_prefix('_')?.as_bytes();
    // 26 digits hold 130 bits, so the first one may only use three of its five.
    if digits.len() != 26 || digits[0] > b'7' {
        return None;
    }
    let mut bits = 0_u128;
    for digit in digits {
        let value = ALPHABET.iter().position(|letter| letter == digit)?;
        bits = bits << 5 | value as u128;
    }
    Some(Uuid::from_u128(bits))
}

/// The id of a UUID under a prefix.
pub fn encode(prefix: &str, id: Uuid) -> String {
    let bits = id.as_u128();
    let digit = |place: u32| char::from(ALPHABET[(bits >> (5 * place) & 31) as usize]);
    format!("{prefix}_{}", (0..26).rev().map(digit).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_typeid_specification_decode() {
        let known = [
            ("00000000000000000000000000", "00000000-0000-0000-0000-000000000000"),
            ("00000000000000000000000001", "00000000-0000-0000-0000-000000000001"),
            ("0000000000000000000000000a", "00000000-0000-0000-0000-00000000000a"),
            ("0000000000000000000000000g", "00000000-0000-0000-0000-000000000010"),
            ("00000000000000000000000010", "00000000-0000-0000-0000-000000000020"),
            ("7zzzzzzzzzzzzzzzzzzzzzzzzz", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
            ("01h455vb4pex5vsknk084sn02q", "01890a5d-ac96-774b-bcce-b302099a8057"),
        ];
        for (digits, uuid) in known {
            let uuid: Uuid = uuid.parse().unwrap();
            let id = format!("ord_{digits}");
            assert_eq!(decode("ord", &id), Some(uuid), "{id}");
            assert_eq!(encode("ord", uuid), id);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for id in [
            "",
            "ord",
            "ord_",
            "var_01h455vb4pex5vsknk084sn02q",
            "ord01h455vb4pex5vsknk084sn02q",
            "ord_01h455vb4pex5vsknk084sn02",
            "ord_01h455vb4pex5vsknk084sn02qq",
            "ord_8zzzzzzzzzzzzzzzzzzzzzzzzz",
            "ord_01H455VB4PEX5VSKNK084SN02Q",
            "ord_01h455vb4pex5vsknk084sn0iq",
            "ord_01890a5d-ac96-774b-bcce-b302099a8057",
        ] {
            assert_eq!(decode("ord", id), None, "{id}");
        }
    }

    #[test]
    fn what_was_encoded_decodes() {
        for _ in 0..1_000 {
            let uuid = Uuid::from_u128(rand::random());
            assert_eq!(decode("pay", &encode("pay", uuid)), Some(uuid));
        }
    }
}
