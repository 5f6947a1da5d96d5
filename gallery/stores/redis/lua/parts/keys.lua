-- Names of a collection's keys. They share the hash tag {C}, so a cluster keeps all keys of the collection C on one node.
--
-- gaitkeeper:{C}         hash: keeps_heatmaps, ttl, sightings (seconds to keep them), created, revision, trimmed, secret
--                        (hexadecimal), and the ids of the generations live and shadow
-- ...:g:G                hash: fingerprint, parts, dims, was_live of the generation G
-- ...:e:G, ...:leaves:G  hashes by template: type and bytes of its embedding; its leaf of the digest
-- ...:t, ...:q, ...:s    hashes: records by template, sequences by template, records by subject
-- ...:names, ...:of:S    sorted sets: ids of all subjects; ids of the templates of the subject S in order of enrolment
-- ...:log, ...:gone      sorted sets: ids of stored and of removed templates, by the revision of their last change
-- ...:clips, ...:expiry, ...:todo  templates by clip and track; by microsecond of expiry; missing in the shadow
-- ...:events             stream: one entry a revision, with a digest of the write that made it
-- ...:audit, ...:auditkey  stream: the log, which outlives the collection; key of the digests that stand for subjects
-- ...:sights, ...:sightsof:S  sorted sets: ids of all sightings, and of those of the subject S, by microsecond
-- ...:sighting, ...:sightkeys, ...:faces, ...:walks  hashes by sighting: records, sealed keys (hexadecimal), pictures,
--                        embeddings
-- ...:pictures           hash: pictures by subject
local base = KEYS[1]
local function key(name) return base .. ':' .. name end
