package bearer

import (
	"crypto/sha256"
	"sync"
)

const (
	// maxCached bounds the tokens of one generation of a cache.
	maxCached = 4096

	// maxCachedClaims is the size in bytes of the claims that are worth keeping: so a cache
	// takes 16 MB at most, and less than 4 in general.
	maxCachedClaims = 2 << 10
)

// cache keeps the claims of tokens whose signature was checked, by the digest of the whole
// token. A client sends its token with each request, and a signature costs 50 to 120 µs, as
// much as the rest of the request.
//
// What is kept is valid only for the keys that it was checked with: a key that is taken out of
// the JWKS ends its tokens. The caller checks the claims each time.
type cache struct {
	mu               sync.Mutex
	current, earlier map[digest]checked
}

type digest [sha256.Size]byte

// checked are the claims of a token that one of the keys has signed.
type checked struct {
	claims claims
	by     *keySet
}

// get returns the claims of the token, if the keys are those that it was checked with.
func (c *cache) get(of digest, keys *keySet) (found claims, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry, ok := c.current[of]
	if !ok {
		if entry, ok = c.earlier[of]; ok {
			c.put(of, entry)
		}
	}
	return entry.claims, ok && entry.by == keys
}

// add keeps the claims. When a generation is full, the one before it is forgotten.
func (c *cache) add(of digest, entry checked) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(of, entry)
}

func (c *cache) put(of digest, entry checked) {
	if c.current == nil || len(c.current) >= maxCached {
		c.earlier, c.current = c.current, make(map[digest]checked)
	}
	c.current[of] = entry
}
