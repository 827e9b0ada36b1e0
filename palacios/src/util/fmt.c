/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * @file fmt.c
 * The formatter behind log lines, error messages and reports. Pure; called from any context, also
 * with interrupts off. The conversions are the integer and text subset of ISO C 7.21.6.1.
 */
#include "palacios/util/fmt.h"

#include "palacios/util/str.h"

#define FMT_LEFT  0x01u /* '-' */
#define FMT_ZERO  0x02u /* '0' */
#define FMT_ALT	  0x04u /* '#' */
#define FMT_PLUS  0x08u /* '+' */
#define FMT_UPPER 0x10u /* %X */
#define FMT_NEG	  0x20u /* the number is negative, its magnitude is printed */

#define FMT_DIGITS 20 /* longest number: 2^64 - 1 in decimal */
#define FMT_MAX	   0x7fffffff

enum fmt_length { FMT_HH, FMT_H, FMT_INT, FMT_L, FMT_LL, FMT_Z };

struct fmt_out {
	char *buf;
	size_t size;
	size_t len; /* of the whole text, also what did not fit */
};

struct fmt_spec {
	unsigned flags;
	int width;
	int precision; /* -1: none given */
	enum fmt_length length;
};

static void fmt_put(struct fmt_out *out, char c)
{
	if (out->len + 1 < out->size)
		out->buf[out->len] = c;
	out->len++;
}

static void fmt_pad(struct fmt_out *out, char c, int n)
{
	while (n-- > 0)
		fmt_put(out, c);
}

static void fmt_text(struct fmt_out *out, const struct fmt_spec *spec, const char *s)
{
	int len = 0;

	if (!s)
		s = "(null)";
	/* A precision also allows texts without terminator. */
	while ((spec->precision < 0 || len < spec->precision) && s[len] && len < FMT_MAX)
		len++;
	if (!(spec->flags & FMT_LEFT))
		fmt_pad(out, ' ', spec->width - len);
	for (int i = 0; i < len; i++)
		fmt_put(out, s[i]);
	if (spec->flags & FMT_LEFT)
		fmt_pad(out, ' ', spec->width - len);
}

static void fmt_char(struct fmt_out *out, const struct fmt_spec *spec, char c)
{
	if (!(spec->flags & FMT_LEFT))
		fmt_pad(out, ' ', spec->width - 1);
	fmt_put(out, c);
	if (spec->flags & FMT_LEFT)
		fmt_pad(out, ' ', spec->width - 1);
}

/* Sign or 0x, then zeros and digits, then blanks on the side the flags say. */
static void fmt_number(struct fmt_out *out, const struct fmt_spec *spec, uint64_t v, unsigned base)
{
	const char *set = spec->flags & FMT_UPPER ? "0123456789ABCDEF" : "0123456789abcdef";
	bool hex = base == 16 && (spec->flags & FMT_ALT) && v;
	char sign = spec->flags & FMT_NEG ? '-' : spec->flags & FMT_PLUS ? '+' : 0;
	char digits[FMT_DIGITS];
	int ndigits = 0, zeros, extra = (sign ? 1 : 0) + (hex ? 2 : 0), pad;

	for (uint64_t rest = v; rest; rest /= base)
		digits[ndigits++] = set[rest % base];
	if (!ndigits && spec->precision != 0)
		digits[ndigits++] = '0';

	zeros = spec->precision > ndigits ? spec->precision - ndigits : 0;
	/* A precision or '-' switches '0' off. */
	if ((spec->flags & (FMT_ZERO | FMT_LEFT)) == FMT_ZERO && spec->precision < 0 &&
	    spec->width > ndigits + extra)
		zeros = spec->width - ndigits - extra;
	/* 64 bits: a precision near INT_MAX must not overflow the sum. */
	pad = (int64_t)zeros + ndigits + extra < spec->width ? spec->width - zeros - ndigits - extra
							     : 0;

	if (!(spec->flags & FMT_LEFT))
		fmt_pad(out, ' ', pad);
	if (sign)
		fmt_put(out, sign);
	if (hex) {
		fmt_put(out, '0');
		fmt_put(out, spec->flags & FMT_UPPER ? 'X' : 'x');
	}
	fmt_pad(out, '0', zeros);
	while (ndigits > 0)
		fmt_put(out, digits[--ndigits]);
	if (spec->flags & FMT_LEFT)
		fmt_pad(out, ' ', pad);
}

static const char *fmt_flags(const char *fmt, unsigned *flags)
{
	for (;; fmt++) {
		switch (*fmt) {
		case '-':
			*flags |= FMT_LEFT;
			break;
		case '0':
			*flags |= FMT_ZERO;
			break;
		case '#':
			*flags |= FMT_ALT;
			break;
		case '+':
			*flags |= FMT_PLUS;
			break;
		default:
			return fmt;
		}
	}
}

/* Decimal digits; larger numbers than an int stay at the limit. */
static const char *fmt_digits(const char *fmt, int *value)
{
	for (*value = 0; *fmt >= '0' && *fmt <= '9'; fmt++)
		*value = *value > (FMT_MAX - 9) / 10 ? FMT_MAX : *value * 10 + (*fmt - '0');
	return fmt;
}

static const char *fmt_length(const char *fmt, enum fmt_length *length)
{
	*length = FMT_INT;
	if (*fmt == 'z') {
		*length = FMT_Z;
		return fmt + 1;
	}
	if (*fmt == 'h') {
		*length = fmt[1] == 'h' ? FMT_HH : FMT_H;
		return fmt + (*length == FMT_HH ? 2 : 1);
	}
	if (*fmt == 'l') {
		*length = fmt[1] == 'l' ? FMT_LL : FMT_L;
		return fmt + (*length == FMT_LL ? 2 : 1);
	}
	return fmt;
}

/* va_list may be an array type: wrapped, it can be handed on by pointer. */
struct fmt_args {
	va_list ap;
};

static uint64_t fmt_unsigned(struct fmt_args *args, enum fmt_length length)
{
	switch (length) {
	case FMT_HH:
		return (unsigned char)va_arg(args->ap, unsigned);
	case FMT_H:
		return (unsigned short)va_arg(args->ap, unsigned);
	case FMT_L:
		return va_arg(args->ap, unsigned long);
	case FMT_LL:
		return va_arg(args->ap, unsigned long long);
	case FMT_Z:
		return va_arg(args->ap, size_t);
	case FMT_INT:
		break;
	}
	return va_arg(args->ap, unsigned);
}

static int64_t fmt_signed(struct fmt_args *args, enum fmt_length length)
{
	switch (length) {
	case FMT_HH:
		return (signed char)va_arg(args->ap, int);
	case FMT_H:
		return (short)va_arg(args->ap, int);
	case FMT_L:
		return va_arg(args->ap, long);
	case FMT_LL:
		return va_arg(args->ap, long long);
	case FMT_Z:
		return (int64_t)va_arg(args->ap, size_t);
	case FMT_INT:
		break;
	}
	return va_arg(args->ap, int);
}

static void fmt_convert(struct fmt_out *out, struct fmt_spec *spec, char conv,
			struct fmt_args *args)
{
	int64_t value;

	switch (conv) {
	case 'd':
	case 'i':
		value = fmt_signed(args, spec->length);
		spec->flags |= value < 0 ? FMT_NEG : 0;
		fmt_number(out, spec, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10);
		break;
	case 'u':
		spec->flags &= ~FMT_PLUS;
		fmt_number(out, spec, fmt_unsigned(args, spec->length), 10);
		break;
	case 'X':
		spec->flags |= FMT_UPPER;
		/* fall through */
	case 'x':
		spec->flags &= ~FMT_PLUS;
		fmt_number(out, spec, fmt_unsigned(args, spec->length), 16);
		break;
	case 'p':
		spec->flags = (spec->flags & ~FMT_PLUS) | FMT_ALT;
		fmt_number(out, spec, (uintptr_t)va_arg(args->ap, void *), 16);
		break;
	case 'c':
		fmt_char(out, spec, (char)va_arg(args->ap, int));
		break;
	case 's':
		fmt_text(out, spec, va_arg(args->ap, const char *));
		break;
	default: /* "%%", and an unknown conversion shows as it stands */
		if (conv != '%')
			fmt_put(out, '%');
		fmt_put(out, conv);
		break;
	}
}

/* One conversion, @p fmt behind its '%'. @return what follows it. */
static const char *fmt_one(struct fmt_out *out, const char *fmt, struct fmt_args *args)
{
	struct fmt_spec spec = {.precision = -1};

	fmt = fmt_flags(fmt, &spec.flags);
	if (*fmt == '*') {
		spec.width = va_arg(args->ap, int);
		fmt++;
		if (spec.width < 0) {
			spec.flags |= FMT_LEFT;
			spec.width = spec.width < -FMT_MAX ? FMT_MAX : -spec.width;
		}
	} else {
		fmt = fmt_digits(fmt, &spec.width);
	}
	if (*fmt == '.') {
		fmt++;
		if (*fmt == '*') {
			spec.precision = va_arg(args->ap, int);
			fmt++;
		} else {
			fmt = fmt_digits(fmt, &spec.precision);
		}
		if (spec.precision < 0)
			spec.precision = -1;
	}
	fmt = fmt_length(fmt, &spec.length);
	if (!*fmt)
		return fmt;
	fmt_convert(out, &spec, *fmt, args);
	return fmt + 1;
}

int v3_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct fmt_out out = {.buf = buf, .size = size};
	struct fmt_args args;

	va_copy(args.ap, ap);
	while (*fmt) {
		if (*fmt == '%')
			fmt = fmt_one(&out, fmt + 1, &args);
		else
			fmt_put(&out, *fmt++);
	}
	va_end(args.ap);

	if (size)
		buf[out.len < size ? out.len : size - 1] = 0;
	return out.len > FMT_MAX ? FMT_MAX : (int)out.len;
}

int v3_snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = v3_vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return len;
}
