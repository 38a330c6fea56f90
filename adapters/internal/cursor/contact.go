package cursor

// EncodeUser returns the cursor of the page of contacts that starts after the user.
func EncodeUser(userID string) string { return seal([]byte(userID)) }

// DecodeUser is the inverse of EncodeUser. It returns an error that wraps
// [ports.ErrInvalidCursor] for any other text.
func DecodeUser(s string) (userID string, err error) {
	data, err := unseal(s)
	return string(data), err
}
