//go:build !linux

package sqlite

func isMount(string) bool { return false }
