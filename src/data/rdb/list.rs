//! Lists.
//!
//! A list is written as its nodes, which are listpacks already. The number of a container before each says whether it
//! is one, or one big element.

use bytes::Bytes;

use crate::data::list::{Builder, Limits, List, Packed};
use crate::data::rdb::read::{Fault, Reader};
use crate::data::rdb::write::Encoder;
use crate::data::rdb::{kind, old, pack};

/// A node that is one element.
const PLAIN: u64 = 1;
/// A node that is a listpack.
const PACKED: u64 = 2;

/// Writes a list as [`kind::LIST_QUICKLIST_2`].
pub fn write(out: &mut Encoder<'_>, list: &List) {
    out.length(list.nodes() as u64);
    let mut scratch = Vec::new();
    list.for_each_node(|node| match node {
        Packed::Run { elements, count } => {
            out.length(PACKED);
            pack::write(out, elements, count, &mut scratch);
        }
        Packed::Alone(text) => {
            out.length(PLAIN);
            out.string(text);
        }
    });
}

/// Reads a list of any type.
///
/// # Errors
///
/// It is damaged.
pub fn read(reader: &mut Reader<'_>, of: u8, limits: Limits) -> Result<List, Fault> {
    match of {
        kind::LIST => {
            let mut list = List::new();
            for _ in 0..reader.count(1)? {
                list.push_back(reader.string()?, limits);
            }
            Ok(list)
        }
        kind::LIST_ZIPLIST => {
            let mut list = Builder::default();
            read_ziplist(reader, &mut list)?;
            Ok(list.finish(limits))
        }
        kind::LIST_QUICKLIST => {
            let mut list = Builder::default();
            for _ in 0..reader.count(1)? {
                read_ziplist(reader, &mut list)?;
            }
            Ok(list.finish(limits))
        }
        _ => {
            let mut list = Builder::default();
            for _ in 0..reader.count(2)? {
                read_node(reader, &mut list)?;
            }
            Ok(list.finish(limits))
        }
    }
}

fn read_ziplist(reader: &mut Reader<'_>, list: &mut Builder) -> Result<(), Fault> {
    let at = reader.offset();
    let ziplist = reader.string()?;
    let (mut elements, mut count) = (Vec::with_capacity(ziplist.len()), 0);
    old::ziplist(ziplist, at, |text| {
        crate::data::element::Encoded::new(text).append_to(&mut elements);
        count += 1;
        Ok(())
    })?;
    list.add_run(&elements, count);
    Ok(())
}

fn read_node(reader: &mut Reader<'_>, list: &mut Builder) -> Result<(), Fault> {
    let at = reader.offset();
    let container = reader.length()?;
    let text = reader.string()?;
    match container {
        PLAIN => list.add_alone(Bytes::copy_from_slice(text)),
        PACKED => {
            let (elements, count) = pack::open(text, at)?;
            list.add_run(elements, count);
        }
        _ => return Err(Fault::damaged(at, "no node of a list is such a container")),
    }
    Ok(())
}
