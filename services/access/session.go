package access

import (
	"crypto/sha256"
	"maps"
	"sync"
	"time"
)

const (
	maxSessions = 1000
	maxOfToken  = 20             // so that nobody's sessions end because of somebody else's
	sessionAge  = 12 * time.Hour // a working day; then people sign in again
	sessionIdle = time.Hour
)

// sessions are the sessions of browsers. Each lasts as long as the token that it began with
// is in the file. They end with the process.
type sessions struct {
	mu   sync.Mutex
	byID map[hash]session // by the hash of the cookie's secret
}

type session struct {
	token hash
	ends  time.Time
	used  time.Time
}

// begin begins a session, and returns the secret of its cookie. If there are too many, of the
// token or in all, the one of them that was not used for the longest time ends.
func (s *sessions) begin(token hash, now time.Time) (secret string, ends time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byID == nil {
		s.byID = make(map[hash]session)
	}
	maps.DeleteFunc(s.byID, func(_ hash, found session) bool { return found.over(now) })
	s.makeRoom(maxOfToken, func(of session) bool { return of.token == token })
	s.makeRoom(maxSessions, func(session) bool { return true })
	secret = newSecret()
	began := session{token: token, ends: now.Add(sessionAge), used: now}
	s.byID[sha256.Sum256([]byte(secret))] = began
	return secret, began.ends
}

// makeRoom ends the session of these that was not used for the longest time, if there are
// most of them.
func (s *sessions) makeRoom(most int, isOne func(session) bool) {
	count := 0
	var unused time.Time
	var oldest hash
	for id, found := range s.byID {
		if !isOne(found) {
			continue
		}
		if count == 0 || found.used.Before(unused) {
			oldest, unused = id, found.used
		}
		count++
	}
	if count >= most {
		delete(s.byID, oldest)
	}
}

func (s session) over(now time.Time) bool {
	return !now.Before(s.ends) || now.Sub(s.used) >= sessionIdle
}

// find returns the token of the session with that secret, and when it ends.
func (s *sessions) find(secret string, now time.Time) (token hash, ends time.Time, ok bool) {
	id := hash(sha256.Sum256([]byte(secret)))
	s.mu.Lock()
	defer s.mu.Unlock()
	found, ok := s.byID[id]
	if !ok {
		return token, ends, false
	}
	if found.over(now) {
		delete(s.byID, id)
		return token, ends, false
	}
	found.used = now
	s.byID[id] = found
	return found.token, found.ends, true
}

// end ends the session with that secret, if there is one.
func (s *sessions) end(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.byID, sha256.Sum256([]byte(secret)))
}
