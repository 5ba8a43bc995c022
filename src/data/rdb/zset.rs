//! Sorted sets.

use crate::base::number::parse_f64;
use crate::data::element::Item;
use crate::data::pack::Pack;
use crate::data::rdb::read::{Fault, Reader};
use crate::data::rdb::write::Encoder;
use crate::data::rdb::{kind, old, pack};
use crate::data::zset::{Limits, Zset};

/// The type as which a sorted set is written.
pub fn type_of(zset: &Zset) -> u8 {
    if zset.as_pack().is_some() { kind::ZSET_LISTPACK } else { kind::ZSET_2 }
}

/// Writes a sorted set. A long one is written from the highest member down, as by Redis, for which adding at the front
/// is quick.
pub fn write(out: &mut Encoder<'_>, zset: &Zset) {
    if let Some(members) = zset.as_pack() {
        return pack::write(out, members.body(), members.count(), &mut Vec::new());
    }
    out.length(zset.len() as u64);
    for (item, score) in zset.iter().rev() {
        item.with_bytes(|text| out.string(text));
        out.double(score);
    }
}

/// A score as text has a length before it, or one of these instead.
const NAN: u8 = 253;
const INFINITE: u8 = 254;
const MINUS_INFINITE: u8 = 255;

/// Reads a sorted set of any type.
///
/// # Errors
///
/// It is damaged.
pub fn read(reader: &mut Reader<'_>, of: u8, limits: &Limits) -> Result<Zset, Fault> {
    let at = reader.offset();
    let mut members = Members { zset: Zset::default(), limits, at };
    match of {
        kind::ZSET | kind::ZSET_2 => {
            let count = reader.count(2)?;
            members.zset = Zset::for_members(count, 0, limits);
            members.zset.expect(count, limits);
            let mut text = Vec::new();
            for _ in 0..count {
                text.clear();
                text.extend_from_slice(reader.string()?);
                let score = if of == kind::ZSET { text_score(reader)? } else { reader.double()? };
                members.add(&text, score)?;
            }
        }
        kind::ZSET_ZIPLIST => {
            let mut member = None;
            old::ziplist(reader.string()?, at, |text| match member.take() {
                None => {
                    member = Some(text.to_vec());
                    Ok(())
                }
                Some(member) => members.add(&member, number(text, at)?),
            })?;
            if member.is_some() {
                return Err(Fault::damaged(at, "a member of a sorted set has no score"));
            }
        }
        _ => {
            let (elements, count) = pack::open(reader.string()?, at)?;
            if count % 2 != 0 {
                return Err(Fault::damaged(at, "a member of a sorted set has no score"));
            }
            if let Some(zset) = as_it_is(elements, count, limits) {
                return Ok(zset);
            }
            members.zset.expect(count / 2, limits);
            let mut items = pack::iter(elements);
            while let (Some(member), Some(score)) = (items.next(), items.next()) {
                let score = score.with_bytes(|text| number(text, at))?;
                member.with_bytes(|text| members.add(text, score))?;
            }
        }
    }
    Ok(members.zset)
}

struct Members<'l> {
    zset: Zset,
    limits: &'l Limits,
    at: u64,
}

impl Members<'_> {
    fn add(&mut self, text: &[u8], score: f64) -> Result<(), Fault> {
        if score.is_nan() {
            return Err(Fault::damaged(self.at, "a score is not a number"));
        }
        match self.zset.insert(score, text, self.limits) {
            None => Ok(()),
            Some(_) => Err(Fault::damaged(self.at, "a sorted set has a member twice")),
        }
    }
}

/// A short sorted set whose elements are as they are kept here: in order, each score a number.
fn as_it_is(elements: &[u8], count: usize, limits: &Limits) -> Option<Zset> {
    let mut longest = 0;
    let mut before: Option<(f64, Item<'_>)> = None;
    let mut items = pack::iter(elements);
    while let (Some(member), Some(score)) = (items.next(), items.next()) {
        let score = match score {
            Item::Int(number) => number as f64,
            Item::Bytes(text) => parse_f64(text).filter(|score| !score.is_nan())?,
            Item::Shared(_) => return None,
        };
        longest = longest.max(member.len_bytes());
        if let Some((lower, other)) = before {
            let in_order = lower < score
                || lower == score && other.with_bytes(|other| member.with_bytes(|member| other < member));
            if !in_order {
                return None;
            }
        }
        before = Some((score, member));
    }
    let members = Pack::from_body(elements, count);
    (limits.fit(count / 2, longest) && !pack::has_twice(&members, 2)).then(|| Zset::from_pack(members))
}

fn number(text: &[u8], at: u64) -> Result<f64, Fault> {
    parse_f64(text).ok_or_else(|| Fault::damaged(at, "a score is not a number"))
}

fn text_score(reader: &mut Reader<'_>) -> Result<f64, Fault> {
    let at = reader.offset();
    match reader.byte()? {
        NAN => Ok(f64::NAN),
        INFINITE => Ok(f64::INFINITY),
        MINUS_INFINITE => Ok(f64::NEG_INFINITY),
        len => number(reader.take(usize::from(len))?, at),
    }
}
