# SPDX-License-Identifier: BSD-3-Clause
# Guests that firmware boots: disks and a CD with GRUB and the Debian guest's kernel, media with other software of
# Debian's, made once, and one definition per way to boot. Everything goes to $(DEBIAN)/bios.

BIOS	:= $(DEBIAN)/bios
bios-src := tests/system/bios
firmware-seabios := /usr/share/seabios/bios-256k.bin
firmware-ovmf := /usr/share/ovmf/OVMF.fd
firmware-ovmf_code := /usr/share/OVMF/OVMF_CODE.fd
VGABIOS	:= /usr/share/seabios/vgabios-stdvga.bin

# name:vcpus:firmware. What name.devices says is added to the definition. The second line is software.t's.
bios-guests := disk:2:seabios ide:1:seabios cd:1:seabios keys:1:seabios uefi:2:ovmf_code uefi-cd:1:ovmf \
	$(addsuffix :1:seabios,isolinux syslinux menu ipxe memtest)
bios-tomls := $(foreach g,$(bios-guests),$(BIOS)/$(call debian-field,$(g),1).toml)

bios-files := $(debian-scripts) $(bios-src)/firmware $(debian-bins) $(DEBIAN)/modules/efivarfs.ko
$(BIOS)/initramfs.cpio: $(debian-src)/mkinitramfs.sh $(bios-files) $(DEBIAN)/busybox
	$(call say,CPIO,$@)
	@mkdir -p $(@D)
	$(Q)$(debian-src)/mkinitramfs.sh $(DEBIAN)/busybox $@ $(bios-files)

bios-media := $(addprefix $(BIOS)/,disk.img esp.img cd.iso)
$(bios-media) &: $(bios-src)/mkmedia.sh $(BIOS)/initramfs.cpio $(DEBIAN)/vmlinuz
	$(call say,MEDIA,$(BIOS)/disk.img)
	$(Q)$(bios-src)/mkmedia.sh $(DEBIAN)/vmlinuz $(BIOS)/initramfs.cpio $(BIOS) \
		'console=tty0 $(DEBIAN_CMDLINE) job=firmware'

# What software.t boots is Debian's, too: fetched, then put on media.
SOFTWARE := $(BIOS)/software
software := $(addprefix $(SOFTWARE)/,isolinux.bin mbr.bin syslinux ldlinux.c32 libcom32.c32 libutil.c32 menu.c32 \
	memtest86+x64.iso ipxe.iso xen.gz)
$(software) &:
	$(call say,FETCH,$(SOFTWARE))
	$(Q)$(bios-src)/fetch.sh $(SOFTWARE)

software-media := $(addprefix $(BIOS)/,isolinux.iso syslinux.img grub.iso)
$(software-media) &: $(bios-src)/mksoftware.sh $(software) $(BIOS)/initramfs.cpio $(DEBIAN)/686.cpio $(DEBIAN)/vmlinuz
	$(call say,MEDIA,$(BIOS)/grub.iso)
	$(Q)$(bios-src)/mksoftware.sh $(SOFTWARE) $(DEBIAN) $(BIOS) '$(DEBIAN_CMDLINE)'

define bios-rule
$(BIOS)/$(call debian-field,$(1),1).toml: $(bios-src)/guest.toml.in $(bios-src)/build.mk \
		$(bios-src)/$(call debian-field,$(1),1).devices
	$$(call say,GEN,$$@)
	@mkdir -p $$(@D)
	$$(Q)sed -e 's/@NAME@/bios-$(call debian-field,$(1),1)/; s/@VCPUS@/$(call debian-field,$(1),2)/' \
		-e 's,@FIRMWARE@,$(firmware-$(call debian-field,$(1),3)),; s,@VGABIOS@,$(VGABIOS),' $$< $$(filter %.devices,$$^) > $$@
endef
$(foreach g,$(bios-guests),$(eval $(call bios-rule,$(g))))

.PHONY: bios-guest
bios-guest: $(bios-media) $(software-media) $(bios-tomls)
